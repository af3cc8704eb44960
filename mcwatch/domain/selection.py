"""Which events a destination wants."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec


class _Routed(msgspec.Struct, gc=False):
    route: str | None = None


class _Traits(msgspec.Struct, gc=False):
    kind: str
    message: _Routed


_TRAITS = msgspec.json.Decoder(_Traits)


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns (``*`` and ``?``) for accounts and kinds, and routes; empty ``routes`` means all of them.

    An event whose route is not known is selected: it may be one that is asked for.
    """

    accounts: tuple[str, ...] = ("*",)
    kinds: tuple[str, ...] = ("*",)
    routes: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether no event needs to be looked at."""
        return "*" in self.kinds and not self.routes

    def wants_account(self, account: str) -> bool:
        """Tell whether any event of the account is wanted."""
        return any(fnmatchcase(account, pattern) for pattern in self.accounts)

    def wanted(self, natives: Sequence[bytes]) -> list[int]:
        """Return the indexes of the wanted events."""
        if self.is_everything:
            return list(range(len(natives)))
        return [index for index, native in enumerate(natives) if self._wants(_TRAITS.decode(native))]

    def _wants(self, event: _Traits) -> bool:
        route = event.message.route
        return any(fnmatchcase(event.kind, pattern) for pattern in self.kinds) and (
            not self.routes or route is None or route.lower() in self.routes
        )
