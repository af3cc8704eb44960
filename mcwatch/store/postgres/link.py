"""One connection of one thread: opened again when it is lost, cut when the other side stands still."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from random import Random

from mcwatch.domain.errors import ConfigError, StoreUnavailable
from mcwatch.store.postgres.connection import Connection, Opened
from mcwatch.store.postgres.errors import StoreReadOnly, StoreRefused

_FIRST_WAIT_SECS = 0.05
_MOST_WAIT_SECS = 1.0


class Link:
    """A connection that its thread asks for each time anew.

    Args:
        connect: makes one; raises StoreUnavailable.
        monotonic: the clock that tells how long the server has said nothing.
        chance: spreads the attempts of many, which lose their server at the same moment.
        patience_secs: how long to wait between attempts, all together, before it is said that nobody can be reached.
    """

    def __init__(
        self, connect: Callable[[], Opened], *, monotonic: Callable[[], float], chance: Random, patience_secs: float
    ) -> None:
        self._connect = connect
        self._monotonic = monotonic
        self._chance = chance
        self._patience_secs = patience_secs
        self._opened: Opened | None = None
        self._busy_since: float | None = None
        self._closing = threading.Lock()
        self._ending = threading.Event()

    @property
    def timeline(self) -> str:
        """The history that the server writes which was last connected to."""
        return self._opened.timeline if self._opened else ""

    def open(self) -> None:
        """Connect, once; raises StoreUnavailable, ConfigError."""
        self._opened = self._connect()

    def connection(self) -> Connection:
        """Return the connection, a new one where the last is lost; raises StoreUnavailable after some seconds."""
        if self._opened is not None and not self._opened.connection.closed:
            return self._opened.connection
        self.close()
        begun_at, waited_secs, longest_secs = self._monotonic(), 0.0, _FIRST_WAIT_SECS
        while True:
            try:
                return self._again()
            except (StoreRefused, StoreReadOnly):
                raise
            except StoreUnavailable:
                wait_secs = self._chance.uniform(longest_secs / 2, longest_secs)
                waited_secs += wait_secs
                # By the clock too: a server that lets people wait instead of refusing uses up their patience.
                passed_secs = max(waited_secs, self._monotonic() - begun_at)
                if passed_secs > self._patience_secs or self._ending.wait(wait_secs):
                    raise
                longest_secs = min(longest_secs * 2, _MOST_WAIT_SECS)

    def _again(self) -> Connection:
        try:
            self._opened = self._connect()
        except ConfigError as error:
            raise StoreUnavailable(
                f"the store's address cannot be used: {error}", remedy="put it right; mcwatch goes on by itself then"
            ) from error
        self.begins()
        return self._opened.connection

    def begins(self) -> None:
        """Take note that the server is asked something from now on."""
        self._busy_since = self._monotonic()

    def ends(self) -> None:
        """Take note that it has answered."""
        self._busy_since = None

    def cut_if_silent(self, longest_secs: float) -> bool:
        """Cut a connection whose server has been asked for so long, so that the thread hears of it; return whether.

        Called by another thread: where the host answers and the server does not, no time-out of TCP ever ends.
        """
        since = self._busy_since
        if since is None or self._monotonic() - since < longest_secs:
            return False
        with self._closing:
            opened = self._opened
            if opened is None or opened.connection.closed:
                return False
            with suppress(OSError):
                wire = socket.socket(fileno=opened.connection.fileno())
                try:
                    wire.shutdown(socket.SHUT_RDWR)
                finally:
                    wire.detach()
        self.begins()
        return True

    def pause(self, secs: float) -> None:
        """Wait, unless the end has come."""
        self._ending.wait(secs)

    def end(self) -> None:
        """Wait for no server any more: whoever waits is told that it cannot be reached."""
        self._ending.set()

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._closing:
            if self._opened is not None:
                self._opened.connection.close()
