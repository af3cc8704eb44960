"""When polling rests: the backlog is too large, or the disk takes no writes. Who is passed over so that it need not."""

from collections.abc import Callable, Mapping

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.event import FINDER
from mcwatch.interfaces import Clock, Store
from mcwatch.telemetry.health import STORE, Health
from mcwatch.telemetry.liveness import turns
from mcwatch.telemetry.metrics import Metrics

FINDER_SHARE = 0.9
"""The finder rests first: it loses nothing by it, since its cursor stands still and its history is long."""

_MAKE_ROOM = "make room on that disk: it goes on by itself once one and a half times store.reserve is free"

_BACKLOG = "backlog"
_STORE_FULL = "store"
REASONS = (_BACKLOG, _STORE_FULL)


class Backpressure:
    """Knows whether a source may poll; refreshed once a second by its own loop, asked without waiting."""

    def __init__(self, store: Store, max_backlog_bytes: int, *, clock: Clock, metrics: Metrics, health: Health) -> None:
        self._store = store
        self._limit = max_backlog_bytes
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._backlog = 0
        self._full = False
        self._ails = False
        self._skips: Mapping[str, Callable[[], None]] = {}

    def need_not_wait_for(self, skips: Mapping[str, Callable[[], None]]) -> None:
        """Take note how to pass over the backlogs of those that are not waited for (``when_full: skip``), by name."""
        self._skips = skips

    async def run(self) -> None:
        """Keep the figures fresh, for ever."""
        while True:
            turns("figures")
            await self.refresh()
            await self._clock.sleep(1.0)

    async def refresh(self) -> None:
        """Read the figures once."""
        ailed = self._ails
        self._ails = self._full = await self._takes_no_pages()
        try:
            self._backlog = await self._store.backlog_bytes()
            if self._is_long:
                await self._pass_over()
        except StoreUnavailable as error:
            # The last figure stands: the loop must outlive what the store outlives.
            self._health.failed(STORE, error)
            self._ails = True
        if ailed and not self._ails:
            self._health.up(STORE)
        # Also while a shared store is away: nothing can be committed then.
        self._metrics.polling_paused.labels(_STORE_FULL).set(self._ails)
        self._metrics.polling_paused.labels(_BACKLOG).set(self._is_long)

    async def _takes_no_pages(self) -> bool:
        try:
            if await self._store.recover():
                return False
            self._health.down(STORE, "the disk that holds the store is full", _MAKE_ROOM)
        except StoreUnavailable as error:
            self._health.failed(STORE, error)
        return True

    async def _pass_over(self) -> None:
        """Have those skip that hold up so much by themselves; one that keeps up with the others loses nothing."""
        for name, skip in self._skips.items():
            if await self._store.backlog_of(name) >= self._limit * FINDER_SHARE:
                skip()

    @property
    def _is_long(self) -> bool:
        return self._backlog >= self._limit * FINDER_SHARE

    @property
    def paused(self) -> list[str]:
        """Why polling of some source rests, empty when none does."""
        return [reason for reason, holds in ((_BACKLOG, self._is_long), (_STORE_FULL, self._full)) if holds]

    def holds(self, source: str) -> bool:
        """Tell whether this kind of source must rest now."""
        limit = self._limit * FINDER_SHARE if source == FINDER else self._limit
        return self._full or self._backlog >= limit
