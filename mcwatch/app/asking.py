"""What commands ask of a store that several replicas share. Importing it takes PostgreSQL's driver."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from mcwatch.app.asker import Asker
from mcwatch.app.clock import SystemClock
from mcwatch.app.fleet import destinations_at_work, merged
from mcwatch.app.keeping import keeping_routes, shown
from mcwatch.app.report import offline_report
from mcwatch.app.tailing import LogTail
from mcwatch.domain.leasing import Fleet
from mcwatch.domain.outbox import DeadLetter
from mcwatch.domain.resending import LetterRequest, ShownLetter
from mcwatch.domain.status import StatusReport
from mcwatch.domain.tailing import TailRequest
from mcwatch.settings import Settings
from mcwatch.store.postgres.onlooker import Onlooker
from mcwatch.store.postgres.options import PostgresOptions
from mcwatch.store.postgres.probe import Finding, probe
from mcwatch.store.postgres.store import PostgresStore
from mcwatch.telemetry.metrics import Metrics

_NAME = "command"
"""What the server's list of sessions calls a command, in the place of a replica's name."""


class SharedStore:
    """The shared store as commands use it: they hold no account, and change no schema.

    Everything raises ConfigError for a URL that is none, StoreUnavailable when the server cannot be used or no replica
    of this version has worked there, and StoreCorrupt for a schema that is newer.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._options = PostgresOptions(
            url=settings.store.url.reveal,
            replica_name=_NAME,
            lease_duration_secs=settings.lease.duration,
            max_backlog_bytes=settings.store.max_backlog,
            max_dead_letters=settings.store.max_dead_letters,
        )

    def look(self) -> Finding:
        """Look at the database, whatever its schema is."""
        return probe(self._options)

    def fleet(self) -> Fleet:
        """Return who lives and who holds what."""
        with Onlooker(self._options) as onlooker:
            return onlooker.fleet()

    def status(self) -> StatusReport:
        """Say what the live replicas published and the store knows."""
        with Onlooker(self._options) as store:
            fleet = store.fleet()
            held = {lease.account for lease in fleet.leases if lease.holder is not None}
            now = SystemClock().now()
            readings = {
                (account.name, str(source.type)): source.reading(store.progress(account.name, source.type), now)
                for account in self._settings.accounts
                if account.name not in held  # its holder tells more, and to ask takes some questions for each
                for source in account.sources
            }
            return merged(offline_report(store.snapshot(), now, readings), fleet)

    def dead_letters(self, destination: str | None, limit: int) -> list[DeadLetter]:
        """List dead letters, newest first."""
        with Onlooker(self._options) as store:
            return store.dead_letters(destination, limit)

    def letters(self, request: LetterRequest) -> list[ShownLetter]:
        """Return chosen dead letters with what they hold."""
        with Onlooker(self._options) as store:
            return [shown(one) for one in store.letters(request.choice, request.after, len(request.ids))]

    @contextmanager
    def tail(self, request: TailRequest) -> Iterator[LogTail]:
        """Lend what follows the log."""
        with Onlooker(self._options) as onlooker:
            yield LogTail(onlooker, request)

    @asynccontextmanager
    async def asker(self) -> AsyncIterator[Asker]:
        """Lend who asks the replicas for what only they can do, and does the rest."""
        clock = SystemClock()
        # It looks at the schema, too, which opening the store would bring up to date.
        fleet = await asyncio.to_thread(self.fleet)
        configured = {one.name for one in self._settings.destinations} | destinations_at_work(fleet)
        async with PostgresStore(self._options, clock=clock, metrics=Metrics()) as store:
            yield Asker(
                store.commands,
                lambda: asyncio.to_thread(self.fleet),
                keeping_routes(store, configured),
                [account.name for account in self._settings.accounts],
                clock,
            )
