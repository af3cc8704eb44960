"""The searches of the message finder: their names, their requests, and how far each has been read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

import msgspec

from mcwatch.domain.window import ONE_SECOND, Window
from mcwatch.mimecast.endpoints import api_time


@dataclass(frozen=True, slots=True)
class Search:
    """One search: the cursor's name and the filter as the API spells it."""

    name: str
    options: Mapping[str, str]


class Cursor(msgspec.Struct, frozen=True):
    """How far a search has been read completely."""

    read_until: datetime


def searches_for(filters: Iterable[Mapping[str, str]]) -> list[Search]:
    """Return the searches with these filters, each once; without any the plain window."""
    # Quoted, for two searches with one name would share a cursor.
    named = {urlencode(sorted(options.items()), safe="@") or "all": options for options in list(filters) or [{}]}
    return [Search(name, options) for name, options in named.items()]


def request_of(search: Search, window: Window, reason: str) -> dict[str, object]:
    """Return the one item of a request.

    It begins a second early: whether the bounds are part of the range is unknown (reference notes G), and with a start
    that is not, the first second of every window would never be shown. A row read twice costs nothing.
    """
    start = window.start - ONE_SECOND
    request: dict[str, object] = {"start": api_time(start), "end": api_time(window.end), "searchReason": reason}
    if search.options:
        request["advancedTrackAndTraceOptions"] = dict(search.options)
    return request


def read_cursor(stored: bytes | None) -> datetime | None:
    """Return the end of what was read."""
    return msgspec.json.decode(stored, type=Cursor).read_until if stored else None
