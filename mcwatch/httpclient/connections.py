"""Connections that many clients share, so that a thousand accounts need a few dozen instead of one or two each."""

import resource
from types import TracebackType
from typing import Self

import aiohttp

KEEPALIVE_SECS = 75.0
"""Longer than the usual poll interval of 60 s."""
_KEPT_FOR_OTHERS = 256
"""Files and sockets that connections leave to the store, the sinks and the listeners."""
_LEAST = 64
_MOST_FILES = 2**16


class SharedConnections:
    """What clients connect through: an async context manager, entered before and left after them.

    A connection is used again only for the same host, proxy and credentials of it, and TLS options; one whose answer
    was not read to its end, or that brought more than was asked for, is closed. Names are looked up once for all.
    """

    def __init__(self) -> None:
        self._connector: aiohttp.TCPConnector | None = None

    @property
    def connector(self) -> aiohttp.TCPConnector:
        """The connector of the sessions; they must not close it."""
        if self._connector is None:
            raise RuntimeError("shared connections are used outside their context")
        return self._connector

    async def __aenter__(self) -> Self:
        limit = max(_LEAST, _files_allowed() - _KEPT_FOR_OTHERS)
        self._connector = aiohttp.TCPConnector(limit=limit, keepalive_timeout=KEEPALIVE_SECS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connector:
            await self._connector.close()
            self._connector = None


def _files_allowed() -> int:
    """Return how many files this process may have open, having asked for more where it may ask for them.

    The soft limit of 1,024 that most systems set protects programs that use select(2), which this one does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
