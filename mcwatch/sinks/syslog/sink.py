"""What the syslog transports share: encode a batch, hand it over, count what was refused."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

import structlog

from mcwatch.domain.delivery import Batch, Verdicts
from mcwatch.domain.errors import FailureReason, MisconfiguredError
from mcwatch.sinks.base import OneAtATime
from mcwatch.sinks.syslog.address import Address
from mcwatch.sinks.syslog.encoder import Encoded, Encoder

_LOG = structlog.get_logger(__name__)


class SyslogSink(OneAtATime, ABC):
    """Sends events as syslog messages; the transports differ in what counts as accepted."""

    def __init__(self, address: Address, encoder: Encoder) -> None:
        self._address = address
        self._encoder = encoder
        self._has_clipped = False
        self._one_batch = asyncio.Lock()  # frames of two batches must not mix, nor two of them connect

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._farewell()

    async def deliver(self, batch: Batch) -> Verdicts:
        """Send the batch, shortening what is too long; what cannot be shortened is refused.

        Raises MisconfiguredError when that is every one of several events: then it is the limit that is wrong.
        """
        encoded = self._encoder.encode(batch)
        if encoded.clipped and not self._has_clipped:
            self._has_clipped = True
            _LOG.warning(
                "syslog_messages_shortened",
                receiver=str(self._address),
                events=encoded.clipped,
                max_message_bytes=self._encoder.max_message_bytes,
                remedy="raise max_message if the receiver takes longer messages; said once",
            )
        if not encoded.messages:
            if len(encoded.refused) > 1:
                raise _nothing_fits(encoded)
            return Verdicts(refused=encoded.refused)
        async with self._one_batch:
            verdicts = await self._transmit(encoded.messages)
        return replace(verdicts, refused=encoded.refused | verdicts.refused) if encoded.refused else verdicts

    @abstractmethod
    async def check(self) -> str:
        """Reach the receiver without sending a message."""

    @abstractmethod
    async def _transmit(self, messages: Mapping[int, bytes]) -> Verdicts:
        """Send messages, keyed by the event's index, and return what became of them under the same keys."""

    async def _farewell(self) -> None:
        """Let go of the receiver at the end."""
        self._close()

    @abstractmethod
    def _close(self) -> None:
        """Let go of the receiver; the next batch reaches out again."""


def _nothing_fits(encoded: Encoded) -> MisconfiguredError:
    first = next(iter(encoded.refused.values()))
    return MisconfiguredError(
        f"none of {len(encoded.refused)} events fits into sink.max_message: {first.detail}",
        reason=FailureReason.TOO_LARGE,
        remedy="raise sink.max_message if the receiver takes longer messages",
    )
