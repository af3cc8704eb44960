"""How many dead letters a destination has, and whether it may have more."""

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.interfaces import Store
from mcwatch.telemetry.health import Component, Health


class Letterbox:
    """Counts along with the settlements of one destination.

    At ``most`` the destination stops until somebody has looked: so many refusals say more of its settings than of the
    events.
    """

    recheck_secs = 5.0

    def __init__(self, destination: str, store: Store, health: Health, most: int) -> None:
        self._destination = destination
        self._store = store
        self._health = health
        self._most = most
        self._count = 0
        self._is_full = False

    async def count(self) -> None:
        """Read the number from the store; the one known stands while the store cannot be read."""
        try:
            self._count = await self._store.dead_letter_count(self._destination)
        except StoreUnavailable:
            return

    def add(self, letters: int) -> None:
        """Take note of new dead letters."""
        self._count += letters

    async def is_full(self) -> bool:
        """Tell whether the destination must stop; a full one looks into the store whether there is room again."""
        if self._count >= self._most:
            await self.count()
        full = self._count >= self._most
        component = Component.of_destination(self._destination)
        if full:
            self._health.down(
                component,
                f"it has {self._count} dead letters, and store.max_dead_letters is {self._most}",
                "see mcwatch dead-letters list; mend the cause, then retry or discard them",
            )
        elif self._is_full:
            self._health.up(component)
        self._is_full = full
        return full
