"""Reading a store that no daemon serves, without a lock and without writing."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from mcwatch.domain.outbox import DeadLetter, KeptLetter, LetterChoice, StoreSnapshot
from mcwatch.domain.page import FeedProgress
from mcwatch.store.sqlite import figures, letters, registry
from mcwatch.store.sqlite.backlog import Backlog
from mcwatch.store.sqlite.connection import open_offline
from mcwatch.store.sqlite.errors import translated

T = TypeVar("T")


class OfflineStore:
    """What can be asked of a store's file as it lies; a context manager that leaves the file alone.

    Entering raises StoreCorrupt for a file that is damaged, not ours or newer than this program, and StoreUnavailable
    when it cannot be read.
    """

    def __init__(self, path: Path, max_backlog_bytes: int) -> None:
        self._path = path
        self._limit_bytes = max_backlog_bytes

    def __enter__(self) -> Self:
        self._connection = open_offline(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        with translated(self._path):
            return question(self._connection)

    def snapshot(self) -> StoreSnapshot:
        """Return all stored figures as of one moment."""
        return self._read(lambda connection: figures.snapshot(connection, self._path, self._limit_bytes, Backlog()))

    def progress(self, account: str, source: str) -> FeedProgress:
        """Return how far a feed has been read; nothing for a feed that the store does not know."""

        def ask(connection: sqlite3.Connection) -> FeedProgress:
            feed_id = registry.feed_id_of(connection, account, source)
            return FeedProgress() if feed_id is None else registry.progress_of(connection, feed_id)

        return self._read(ask)

    def dead_letters(self, destination: str | None, limit: int) -> list[DeadLetter]:
        """List dead letters, newest first; ``destination`` empty lists undecodable rows, None everything."""
        return self._read(lambda connection: letters.newest(connection, destination, limit))

    def letters(self, choice: LetterChoice, after: int, limit: int) -> list[KeptLetter]:
        """Return the chosen dead letters behind number ``after``, oldest first."""
        return self._read(lambda connection: letters.chosen(connection, choice, after, limit))
