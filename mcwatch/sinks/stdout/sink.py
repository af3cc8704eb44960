"""The stdout sink: one write per batch, in a thread."""

import os
import threading
from functools import partial
from types import TracebackType
from typing import Literal, Self
from uuid import UUID

from pydantic import Field

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import FailureReason, TransientError
from mcwatch.domain.readable import readable_line
from mcwatch.interfaces import Sink
from mcwatch.sinks.base import BaseSinkConfig, BlockingThread, OneAtATime, lines
from mcwatch.sinks.stdout.writer import LineWriter

_STDOUT = 1
_STALL_SECS = 30.0
"""A reader that takes nothing for so long counts as stuck, as with the sinks that have a network in between."""
_CLOSE_SECS = 1.0
"""A write that goes on when the daemon ends may take so long to come to the end of a line."""

Readable = Literal["never", "auto", "always"]


class StdoutSink(OneAtATime):
    """Writes lines to standard output; accepted once written, nothing more."""

    def __init__(
        self, readable: Readable = "never", *, descriptor: int = _STDOUT, stall_secs: float = _STALL_SECS
    ) -> None:
        self._descriptor = descriptor
        self._terminal = os.isatty(descriptor)
        self._readable = readable == "always" or (readable == "auto" and self._terminal)
        self._stall_secs = stall_secs
        self._writer: LineWriter | None = None
        self._thread = BlockingThread("stdout")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._thread.finish(lambda: None, _CLOSE_SECS)

    async def deliver(self, batch: Batch) -> Verdicts:
        """Write the batch; raises TransientError when nobody reads."""
        if not len(batch):
            return ALL_ACCEPTED
        unwanted = threading.Event()
        try:
            await self._thread.run(partial(self._write, batch, unwanted))
        except TimeoutError as error:
            raise TransientError(
                "nobody reads standard output: a write stalled",
                reason=FailureReason.TIMEOUT,
                remedy="let the program that reads the output go on, or send the events to a file",
            ) from error
        except OSError as error:
            raise TransientError(
                f"standard output cannot be written: {error.strerror}",
                reason=FailureReason.CONNECTION,
                remedy="the program that read the output has ended, or its disk is full: start mcwatch with a new one",
            ) from error
        finally:
            unwanted.set()
        return ALL_ACCEPTED

    async def check(self) -> str:
        """Say what standard output is."""
        try:
            os.fstat(self._descriptor)
        except OSError as error:
            raise TransientError(
                f"standard output is closed: {error.strerror}", reason=FailureReason.CONNECTION
            ) from error
        return "a terminal" if self._terminal else "a pipe or file"

    def _write(self, batch: Batch, unwanted: threading.Event) -> None:
        payloads = batch.payloads
        if self._readable:
            payloads = [
                readable_line(payload, coloured=self._terminal).encode("utf-8", "replace") for payload in payloads
            ]
        if self._writer is None:  # here, because a closed descriptor is an error of delivery, not of start-up
            self._writer = LineWriter(self._descriptor, self._stall_secs)
        self._writer.write(lines(payloads), unwanted)


class StdoutSinkConfig(BaseSinkConfig):
    """Lines on standard output."""

    type: Literal["stdout"] = Field(description="Standard output; logs go to standard error.")
    readable: Readable = Field(
        "never",
        description="Lines for people instead of the format's bytes: never, always, or auto (on a terminal). "
        "Default never, because what reads a daemon's output is usually a program.",
    )

    def build(self, channel: UUID | None = None) -> Sink:
        """Return the sink."""
        return StdoutSink(self.readable)
