"""What the shared store is told."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mcwatch.domain.leasing import LAPSE_SHARE
from mcwatch.store.keep import Keep

_IDLE_SHARE = 0.2
_MOST_IDLE_SECS = 60


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """Which database, as whom among the replicas, and what may be kept; sizes in bytes.

    ``url`` reveals the libpq URI, which holds a password, anew for each connection: the password may change.
    """

    url: Callable[[], str] = field(repr=False)
    replica_name: str
    lease_duration_secs: float = 30.0
    max_backlog_bytes: int = 2 * 2**30
    keep: Keep = field(default_factory=Keep)
    max_dead_letters: int = 10_000

    @property
    def lapse_secs(self) -> float:
        """Unheard of for so long, a replica holds nothing any more."""
        return self.lease_duration_secs * LAPSE_SHARE

    @property
    def idle_secs(self) -> float:
        """After so long the server ends a transaction of which it hears nothing, and with it the locks on leases."""
        return min(self.lease_duration_secs * _IDLE_SHARE, _MOST_IDLE_SECS)
