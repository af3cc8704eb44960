"""One RELP session (specification 0.0.1): opened with offers, every message answered, closed with a word."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Self

from mcwatch.sinks.syslog.address import SockAddress
from mcwatch.sinks.syslog.connection import Connection, LostError
from mcwatch.sinks.syslog.dialling import ClientTls
from mcwatch.sinks.syslog.relp_frames import Frame, FrameReader, NotRelpError, Reply, frame, next_txnr

_OFFERS = b"\nrelp_version=0\nrelp_software=mcwatch\ncommands=syslog"
"""Version 0 on purpose: it is what librelp, the reference, offers and expects."""
_VERSIONS = {b"0", b"1"}
_FAREWELL_SECS = 2.0
_OPENING = -1
"""Under this index the reply to ``open`` is kept; messages have those of their events."""


class SessionRefusedError(Exception):
    """The receiver opens no session, or none that takes syslog messages; its words are in ``args``."""


class RelpSession:
    """A session over one connection; after any failure it is to be closed.

    Up to ``window`` messages are under way at a time, so that an answer is not waited for before the next is sent.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._reader = FrameReader()
        self._connection: Connection | None = None
        self._next_txnr = 1
        self._pending: dict[int, int] = {}
        self._replies: dict[int, Reply] = {}
        self._news = asyncio.Event()
        self._closing_txnr: int | None = None
        self._is_over = False
        self._fault: NotRelpError | None = None

    @classmethod
    async def open(cls, address: SockAddress, tls: ClientTls, *, user_timeout_secs: float, window: int) -> Self:
        """Connect and open a session; raises SessionRefusedError, NotRelpError, LostError, OSError."""
        session = cls(window)
        session._connection = await Connection.open(
            address, tls, user_timeout_secs=user_timeout_secs, heard=session._take
        )
        try:
            await session._greet(session._connection)
        except BaseException:
            session.close()
            raise
        return session

    @property
    def usable(self) -> bool:
        """Whether messages can still be sent."""
        return not (self._is_over or self._fault or self._connection is None or self._connection.lost)

    async def exchange(self, messages: Mapping[int, bytes], replies: dict[int, Reply]) -> None:
        """Send the messages and put each reply into ``replies`` as it comes, under the message's index.

        Raises NotRelpError, LostError or OSError; the replies that came before stand.
        """
        connection = self._connected()
        self._replies = replies
        waiting = list(messages.items())
        at = 0
        while at < len(waiting) or self._pending:
            self._raise_if_over(connection)
            room = self._window - len(self._pending)
            # Half a window at a time: a write for each answer would cost more than it gains.
            if at < len(waiting) and room >= min(len(waiting) - at, (self._window + 1) // 2):
                part = waiting[at : at + room]
                at += len(part)
                await connection.write(self._framed(part))
            else:
                self._news.clear()
                await self._news.wait()

    async def farewell(self) -> None:
        """Close the session as the protocol asks, and the connection; never waits long."""
        try:
            if self.usable and not self._pending:
                async with asyncio.timeout(_FAREWELL_SECS):
                    await self._say_close(self._connected())
        except (LostError, OSError):
            pass  # it was a courtesy: every message has its answer
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    async def _greet(self, connection: Connection) -> None:
        await connection.write(self._command(b"open", _OFFERS, _OPENING))
        while _OPENING not in self._replies:
            self._raise_if_over(connection)
            self._news.clear()
            await self._news.wait()
        reply = self._replies.pop(_OPENING)
        offers = dict(line.partition(b"=")[::2] for line in reply.data.split(b"\n"))
        if not reply.is_ok:
            raise SessionRefusedError(f"{reply.code} {reply.words}")
        if offers.get(b"relp_version") not in _VERSIONS or b"syslog" not in offers.get(b"commands", b"").split(b","):
            raise SessionRefusedError("it offers no version of RELP that is known, or not to take syslog messages")

    async def _say_close(self, connection: Connection) -> None:
        self._closing_txnr = self._next_txnr
        await connection.write(frame(self._closing_txnr, b"close"))
        while self.usable:
            self._news.clear()
            await self._news.wait()

    def _connected(self) -> Connection:
        if self._connection is None:
            raise LostError
        return self._connection

    def _raise_if_over(self, connection: Connection) -> None:
        if self._fault:
            raise self._fault
        connection.raise_if_lost()
        if self._is_over:
            raise LostError

    def _framed(self, messages: Iterable[tuple[int, bytes]]) -> bytes:
        return b"".join([self._command(b"syslog", message, index) for index, message in messages])

    def _command(self, command: bytes, data: bytes, index: int) -> bytes:
        txnr = self._next_txnr
        self._pending[txnr] = index
        self._next_txnr = next_txnr(txnr)
        return frame(txnr, command, data)

    def _take(self, data: bytes) -> None:
        """Take in what the receiver says; nothing at all means that the connection is lost."""
        try:
            if not self._fault:
                for answer in self._reader.feed(data):
                    self._handle(answer)
        except NotRelpError as fault:
            self._fault = fault
        self._news.set()

    def _handle(self, answer: Frame) -> None:
        if answer.txnr == 0:  # a hint; "serverclose" says that what has no answer by now never gets one
            self._is_over |= answer.command == b"serverclose"
            return
        if answer.txnr == self._closing_txnr:
            self._is_over = True
            return
        if answer.txnr not in self._pending or answer.command != b"rsp":
            raise NotRelpError("an answer to what was not asked")
        reply = Reply.parse(answer.data)
        self._replies[self._pending.pop(answer.txnr)] = reply
