"""What ``mcwatch tail`` asks for, and what stands in its stream beside events."""

from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec


class _Routed(msgspec.Struct, gc=False):
    route: str | None = None
    status: str | None = None


class _Traits(msgspec.Struct, gc=False):
    kind: str
    account: str
    source: str
    message: _Routed


_TRAITS = msgspec.json.Decoder(_Traits)


class TailRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events are wanted: those that fit every list that is not empty, from now on or recorded from ``since`` on.

    ``accounts`` and ``kinds`` are patterns (``*`` and ``?``). An event whose route is not known fits any, as in a
    destination's selection; one without a status fits none.
    """

    kinds: list[str] = []
    accounts: list[str] = []
    sources: list[str] = []
    routes: list[str] = []
    statuses: list[str] = []
    since: datetime | None = None

    def wants_account(self, account: str) -> bool:
        """Tell whether any event of the account is wanted."""
        return not self.accounts or any(fnmatchcase(account, pattern) for pattern in self.accounts)

    def chosen(self, lines: bytes) -> bytes:
        """Return the wanted ones of native events of a wanted account, each ended by LF."""
        if not (self.kinds or self.sources or self.routes or self.statuses):
            return lines
        return b"".join(line + b"\n" for line in lines.split(b"\n")[:-1] if self._wants(_TRAITS.decode(line)))

    def _wants(self, event: _Traits) -> bool:
        route, status = event.message.route, event.message.status
        return (
            (not self.kinds or any(fnmatchcase(event.kind, pattern) for pattern in self.kinds))
            and (not self.sources or event.source in self.sources)
            and (not self.routes or route is None or route.lower() in self.routes)
            and (not self.statuses or (status is not None and status.lower() in self.statuses))
        )


def account_of(line: bytes) -> str:
    """Return the account of a native event."""
    return _TRAITS.decode(line).account


class Word(StrEnum):
    """What a note says: the stream has begun; events are left out of it; the daemon stops."""

    LISTENING = "listening"
    LEFT_OUT = "left_out"
    STOPPED = "stopped"


class TailNote(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the stream that is no event. ``at_most``: of the ``events`` left out some may not have been wanted."""

    note: Word
    events: int = 0
    at_most: bool = False

    def line(self) -> bytes:
        """Return it as a line of the stream."""
        return msgspec.json.encode(self) + b"\n"

    @staticmethod
    def read(line: bytes) -> "TailNote | None":
        """Return the note that a line of the stream is, None for an event."""
        return msgspec.json.decode(line, type=TailNote) if line.startswith(b'{"note":') else None
