"""How long a store keeps things, whichever kind it is."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Keep:
    """How long things are kept."""

    fingerprints: timedelta = timedelta(days=31)
    delivered: timedelta = timedelta(hours=24)
    dead_letters: timedelta = timedelta(days=90)
