"""What commands do with a store when no daemon runs on it, or when its daemons share it.

What only asks writes nothing and keeps no daemon from starting; what acts takes the lock of a store that is a file. A
shared store is asked whether replicas run or not.
"""

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from mcwatch.app.clock import SystemClock
from mcwatch.app.keeping import shown
from mcwatch.app.report import offline_report
from mcwatch.app.shared_store import shared_store
from mcwatch.app.wiring import Application, store_options
from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.outbox import DeadLetter
from mcwatch.domain.resending import LetterRequest, ShownLetter
from mcwatch.domain.status import StatusReport
from mcwatch.domain.tailing import TailRequest
from mcwatch.httpserver.control import ControlRoute
from mcwatch.settings import Settings
from mcwatch.store.sqlite import OfflineStore
from mcwatch.telemetry.logs import configure

if TYPE_CHECKING:
    from mcwatch.app.asker import Asker
    from mcwatch.app.asking import SharedStore
    from mcwatch.app.tailing import LogTail


def _store(settings: Settings) -> OfflineStore:
    configure("warning")
    options = store_options(settings.store)
    if not options.path.exists():
        raise StoreUnavailable(
            f"no daemon runs and there is no store at {options.path} yet",
            remedy="start mcwatch run, or check store.url and the working directory",
        )
    return OfflineStore(options.path, options.max_backlog_bytes)


def _shared(settings: Settings) -> "SharedStore":
    configure("warning")
    return shared_store(settings)


def offline_status(settings: Settings) -> StatusReport:
    """Say what the store knows.

    Raises StoreUnavailable when it is not there or cannot be read, StoreCorrupt when it is damaged, not ours or newer,
    and ConfigError where the driver of a shared one is missing.
    """
    if settings.store.is_shared:
        return _shared(settings).status()
    with _store(settings) as store:
        now = SystemClock().now()
        readings = {
            (account.name, str(source.type)): source.reading(store.progress(account.name, source.type), now)
            for account in settings.accounts
            for source in account.sources
        }
        return offline_report(store.snapshot(), now, readings)


def offline_dead_letters(settings: Settings, destination: str | None, limit: int) -> list[DeadLetter]:
    """List the store's dead letters, newest first; raises as :func:`offline_status` does."""
    if settings.store.is_shared:
        return _shared(settings).dead_letters(destination, limit)
    with _store(settings) as store:
        return store.dead_letters(destination, limit)


def offline_letters(settings: Settings, request: LetterRequest) -> list[ShownLetter]:
    """Return chosen dead letters with what they hold; raises as :func:`offline_status` does."""
    if settings.store.is_shared:
        return _shared(settings).letters(request)
    with _store(settings) as store:
        return [shown(one) for one in store.letters(request.choice, request.after, len(request.ids))]


@contextmanager
def fleet_tail(settings: Settings, request: TailRequest) -> Iterator["LogTail"]:
    """Lend what follows the log of a shared store; raises as :func:`offline_status` does."""
    with _shared(settings).tail(request) as tail:
        yield tail


@asynccontextmanager
async def fleet_asker(settings: Settings) -> AsyncIterator["Asker"]:
    """Lend who has the replicas of a shared store do what a command asks; raises as :func:`offline_status` does."""
    async with _shared(settings).asker() as asker:
        yield asker


@asynccontextmanager
async def offline_routes(settings: Settings) -> AsyncIterator[Sequence[ControlRoute]]:
    """Lend what a daemon's control socket offers to commands that act, done by this process with the store's lock.

    Raises StoreUnavailable when there is no store or another process has it, ConfigError and StoreCorrupt as a daemon's
    start does.
    """
    with _store(settings):
        pass
    async with Application(settings, clock=SystemClock(), rng=random.Random(), serves=False) as application:
        yield application.acting_routes
