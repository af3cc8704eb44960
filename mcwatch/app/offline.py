"""What can be said of a store when no daemon runs on it; nothing is written, and no daemon is kept from starting."""

from mcwatch.app.clock import SystemClock
from mcwatch.app.report import offline_report
from mcwatch.app.wiring import store_options
from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.outbox import DeadLetter
from mcwatch.domain.status import StatusReport
from mcwatch.settings import Settings
from mcwatch.store.sqlite import OfflineStore
from mcwatch.telemetry.logs import configure


def _store(settings: Settings) -> OfflineStore:
    configure("warning")
    options = store_options(settings.store)
    if not options.path.exists():
        raise StoreUnavailable(
            f"no daemon runs and there is no store at {options.path} yet",
            remedy="start mcwatch run, or check store.url and the working directory",
        )
    return OfflineStore(options.path, options.max_backlog_bytes)


def offline_status(settings: Settings) -> StatusReport:
    """Say what the store knows.

    Raises StoreUnavailable when it is not there or cannot be read, StoreCorrupt when it is damaged, not ours or newer.
    """
    with _store(settings) as store:
        covered = {
            (account.name, str(source.type)): source.covered_until(store.cursors(account.name, source.type))
            for account in settings.accounts
            for source in account.sources
        }
        return offline_report(store.snapshot(), SystemClock().now(), covered)


def offline_dead_letters(settings: Settings, destination: str | None, limit: int) -> list[DeadLetter]:
    """List the store's dead letters, newest first; raises as :func:`offline_status` does."""
    with _store(settings) as store:
        return store.dead_letters(destination, limit)
