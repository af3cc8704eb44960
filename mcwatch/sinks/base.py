"""What all sinks share: the shape of their configuration, line framing, and a thread for blocking calls."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mcwatch.interfaces import Sink
from mcwatch.option_types import Config

T = TypeVar("T")


class BaseSinkConfig(Config):
    """Options of one kind of sink; every subclass adds ``type``, which tells it from the others."""

    @abstractmethod
    def build(self) -> Sink:
        """Return the sink, without touching the target."""


def lines(payloads: Sequence[bytes]) -> bytes:
    """Return the payloads as lines, each ended by one LF; an LF inside a payload becomes a space."""
    joined = b"\n".join(payloads) + b"\n"
    if joined.count(b"\n") == len(payloads):
        return joined
    return b"\n".join([payload.replace(b"\n", b" ") for payload in payloads]) + b"\n"


class BlockingThread:
    """One thread that runs blocking calls one after the other, so that a cancelled one never overlaps the next."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, call: Callable[[], T]) -> T:
        """Run ``call`` and return what it returns; when this is cancelled, a call already begun goes on to its end."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Take no further calls; what runs is not waited for."""
        self._executor.shutdown(wait=False)
