"""What a store is told."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mcwatch.store.keep import Keep


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Where the store lies and what it may use; sizes in bytes."""

    path: Path
    max_backlog_bytes: int = 2 * 2**30
    keep_delivered: timedelta = timedelta(hours=24)
    keep_fingerprints: timedelta = timedelta(days=31)
    keep_dead_letters: timedelta = timedelta(days=90)
    reserve_bytes: int = 64 * 2**20
    max_dead_letters: int = 10_000

    @property
    def keep(self) -> Keep:
        """How long things are kept."""
        return Keep(self.keep_fingerprints, self.keep_delivered, self.keep_dead_letters)
