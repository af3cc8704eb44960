"""What a changed configuration means for what runs."""

from collections.abc import Mapping, Sequence

import msgspec


class Changes(msgspec.Struct, frozen=True):
    """Which named parts are new, differ, or are gone; those that stay as they are, are in none of the three."""

    added: list[str] = []
    changed: list[str] = []
    removed: list[str] = []

    @property
    def started(self) -> list[str]:
        """Those that begin anew."""
        return [*self.added, *self.changed]

    @property
    def stopped(self) -> list[str]:
        """Those that run and have to end."""
        return [*self.changed, *self.removed]


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a reload has changed."""

    accounts: Changes = Changes()
    destinations: Changes = Changes()

    @property
    def lines(self) -> list[str]:
        """One line for each part, for people; nothing when nothing has changed."""
        return [
            f"{what} {name} {became}"
            for what, changes in (("account", self.accounts), ("destination", self.destinations))
            for became, names in (("added", changes.added), ("changed", changes.changed), ("removed", changes.removed))
            for name in names
        ]


def compare(before: Mapping[str, object], after: Mapping[str, object]) -> Changes:
    """Compare parts by name; the order is that of the configuration."""
    return Changes(
        [name for name in after if name not in before],
        [name for name in after if name in before and before[name] != after[name]],
        [name for name in before if name not in after],
    )


def differing(section: str, before: Mapping[str, object], after: Mapping[str, object]) -> Sequence[str]:
    """Return the keys of a section that differ, written ``section.key``."""
    return [f"{section}.{key}" for key in after if before.get(key) != after[key]]
