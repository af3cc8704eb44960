"""Syslog over RELP, with or without TLS: accepted once the receiver has answered for the message."""

import asyncio
from collections.abc import Mapping

import structlog

from mcwatch.domain.delivery import Refusal, Verdicts
from mcwatch.domain.errors import FailureReason, McwatchError, MisconfiguredError, PermanentError, TransientError
from mcwatch.sinks.syslog.address import SockAddress
from mcwatch.sinks.syslog.connection import LostError
from mcwatch.sinks.syslog.dialling import ClientTls, Dialler
from mcwatch.sinks.syslog.encoder import Encoder
from mcwatch.sinks.syslog.relp_frames import NotRelpError, Reply
from mcwatch.sinks.syslog.relp_session import RelpSession, SessionRefusedError
from mcwatch.sinks.syslog.sink import SyslogSink
from mcwatch.sinks.syslog.translate import translated

_LOG = structlog.get_logger(__name__)


class RelpSink(SyslogSink):
    """Keeps one session, and opens another when it is lost; what had no answer then is for the next delivery.

    Args:
        dialler: how to reach the receiver.
        encoder: makes the messages, unframed.
        send_timeout_secs: for a batch to be answered.
        window: how many messages may be without an answer at a time.
    """

    def __init__(self, dialler: Dialler, encoder: Encoder, *, send_timeout_secs: float, window: int) -> None:
        super().__init__(dialler.address, encoder)
        self._dialler = dialler
        self._send_timeout_secs = send_timeout_secs
        self._window = window
        self._session: RelpSession | None = None

    async def check(self) -> str:
        """Open a session and close it again."""
        session = await self._connect()
        await session.farewell()
        return f"{self._address} opens RELP sessions{' over TLS' if self._dialler.tls else ''}"

    async def _transmit(self, messages: Mapping[int, bytes]) -> Verdicts:
        """Send the messages, and those that the receiver refused once more: RELP has no word for "not now"."""
        replies: dict[int, Reply] = {}
        failure = await self._attempt(messages, replies)
        accepted = {index for index, reply in replies.items() if reply.is_ok}
        if not accepted:
            raise failure or self._refused_all(replies)
        again: dict[int, Reply] = {}
        refused_once = {index: messages[index] for index in replies.keys() - accepted}
        if refused_once and not failure:
            failure = await self._attempt(dict(sorted(refused_once.items())), again)
        if failure:
            _LOG.warning(
                "relp_session_lost", receiver=str(self._address), reason=failure.reason, remedy=failure.remedy,
                unanswered=len(messages) - len(replies),
            )  # fmt: skip
        refused = _refused_twice(again, max(accepted))
        accepted |= {index for index, reply in again.items() if reply.is_ok}
        return Verdicts(refused=refused, retry=frozenset(messages.keys() - accepted - refused.keys()))

    async def _attempt(self, messages: Mapping[int, bytes], replies: dict[int, Reply]) -> McwatchError | None:
        """Send messages and collect their replies; return what ended it before all were there."""
        if self._session and not self._session.usable:  # lost while nothing was under way: no batch failed
            self._close()
        try:
            if not self._session:
                self._session = await self._connect()
            async with asyncio.timeout(self._send_timeout_secs):
                await self._session.exchange(messages, replies)
        except McwatchError as error:
            return error
        except (LostError, OSError) as error:
            failure: McwatchError = translated(error, str(self._address))
            failure.__cause__ = error
        except NotRelpError as error:
            failure = TransientError(
                f"the syslog receiver {self._address} broke the rules of RELP: {error}",
                reason=FailureReason.BAD_RESPONSE,
            )
        except BaseException:  # cancelled with messages under way: their answers must meet nobody
            self._close()
            raise
        else:
            return None
        self._close()
        return failure

    async def _connect(self) -> RelpSession:
        try:
            return await self._dialler.reach(self._open)
        except NotRelpError as error:
            raise MisconfiguredError(
                f"the syslog receiver {self._address} does not speak RELP: it answers with {error}",
                reason=FailureReason.BAD_RESPONSE,
                remedy="check the port in sink.address, and sink.transport",
            ) from error
        except SessionRefusedError as error:
            raise MisconfiguredError(
                f"the syslog receiver {self._address} opens no RELP session for us",
                reason=FailureReason.REFUSED,
                remedy="check that the receiver takes the command syslog, and see its log",
                detail=str(error),
            ) from error

    async def _open(self, address: SockAddress, tls: ClientTls) -> RelpSession:
        return await RelpSession.open(address, tls, user_timeout_secs=self._send_timeout_secs, window=self._window)

    def _refused_all(self, replies: Mapping[int, Reply]) -> PermanentError:
        first = next(iter(replies.values()))
        return PermanentError(
            f"the syslog receiver {self._address} refused every message of a batch",
            remedy="see the receiver's log",
            detail=f"{first.code} {first.words}",
        )

    async def _farewell(self) -> None:
        session, self._session = self._session, None
        if session:
            await session.farewell()

    def _close(self) -> None:
        session, self._session = self._session, None
        if session:
            session.close()


def _refused_twice(again: Mapping[int, Reply], last_accepted: int) -> dict[int, Refusal]:
    """Return what is refused for good: also the second time, by a receiver that took another message after it."""
    still_accepts = any(reply.is_ok for reply in again.values())
    return {
        index: Refusal(FailureReason.REFUSED, f"{reply.code} {reply.words}")
        for index, reply in again.items()
        if not reply.is_ok and (still_accepts or index < last_accepted)
    }
