"""The loop that removes what is past its time, a little at a time."""

import structlog

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.interfaces import Clock, Store

_EVERY_SECS = 60.0
_BREATH_SECS = 0.05
"""Between two pieces, so that pages and settlements that wait go first."""

logger = structlog.get_logger(__name__)


class Retention:
    """Calls the store's expiry until nothing is left, once a minute."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Expire for ever; a store that takes no writes is tried again at the next turn."""
        while True:
            await self._clock.sleep(_EVERY_SECS)
            await self.sweep()

    async def sweep(self) -> None:
        """Expire everything that is due now."""
        try:
            while await self._store.expire(self._clock.now()):
                await self._clock.sleep(_BREATH_SECS)
        except StoreUnavailable as error:
            logger.warning("expiry_waits", reason=str(error))
