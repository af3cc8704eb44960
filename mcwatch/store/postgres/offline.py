"""Reading a store without being one of its replicas, and without writing."""

from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from mcwatch.domain.errors import StoreCorrupt, StoreUnavailable
from mcwatch.domain.outbox import DeadLetter, KeptLetter, LetterChoice, StoreSnapshot
from mcwatch.domain.page import FeedProgress
from mcwatch.store.postgres import figures, letters, registry
from mcwatch.store.postgres.backlog import Backlog
from mcwatch.store.postgres.connection import Connection, connect, migrations, own_version, place_of
from mcwatch.store.postgres.errors import translated
from mcwatch.store.postgres.options import PostgresOptions

T = TypeVar("T")


class OfflineStore:
    """What can be asked of the database as it is; a context manager that leaves it alone.

    Entering raises StoreUnavailable when it cannot be reached or was never used by mcwatch, StoreCorrupt for a schema
    that is newer than this program or another program's, and ConfigError for a bad URL.
    """

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options

    def __enter__(self) -> Self:
        self._place = place_of(self._options)
        self._connection = connect(self._options).connection
        try:
            with translated(self._place):
                self._connection.execute("SET default_transaction_read_only = on")
                _recognise(own_version(self._connection, self._place), self._place)
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _read(self, question: Callable[[Connection], T]) -> T:
        with translated(self._place):
            return question(self._connection)

    def snapshot(self) -> StoreSnapshot:
        """Return all stored figures as of one moment."""
        limit_bytes = self._options.max_backlog_bytes
        return self._read(lambda connection: figures.snapshot(connection, limit_bytes, Backlog()))

    def progress(self, account: str, source: str) -> FeedProgress:
        """Return how far a feed has been read; nothing for a feed that the store does not know."""

        def ask(connection: Connection) -> FeedProgress:
            feed_id = registry.feed_id_of(connection, account, source)
            return FeedProgress() if feed_id is None else registry.progress_of(connection, feed_id)

        return self._read(ask)

    def dead_letters(self, destination: str | None, limit: int) -> list[DeadLetter]:
        """List dead letters, newest first; ``destination`` empty lists undecodable rows, None everything."""
        return self._read(lambda connection: letters.newest(connection, destination, limit))

    def letters(self, choice: LetterChoice, after: int, limit: int) -> list[KeptLetter]:
        """Return the chosen dead letters behind number ``after``, oldest first."""
        return self._read(lambda connection: letters.chosen(connection, choice, after, limit))


def _recognise(version: int, place: str) -> None:
    known = len(migrations())
    if version > known:
        raise StoreCorrupt(
            f"the store ({place}) was written by a newer mcwatch (schema {version}, this program knows {known})",
            remedy="run the newer mcwatch",
        )
    if version < known:
        raise StoreUnavailable(
            f"the store ({place}) is of an older mcwatch (schema {version}), or nothing was ever kept in it",
            remedy="start mcwatch run once, which brings it up to date",
        )
