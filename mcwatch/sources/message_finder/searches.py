"""The searches of the message finder: their names and their requests."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlencode

from mcwatch.domain.domains import domain_name
from mcwatch.domain.window.ranges import ONE_SECOND, Window
from mcwatch.mimecast.endpoints import api_time

ROUTES = ("inbound", "outbound", "internal", "external")
STATUSES = (
    "accepted", "processing", "bulk_processing", "delivery", "bulk_delivery", "held", "bounced", "deferred", "rejected",
    "archived", "system",
)  # fmt: skip
"""What a search can be narrowed to (reference notes G, 2.0 schema)."""

Narrowing = Mapping[str, list[str]]
EVERYTHING: Narrowing = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Search:
    """One search: its name in the store and the filter as the API spells it."""

    name: str
    options: Mapping[str, str]

    @property
    def label(self) -> str:
        """What people are shown: no address, no subject."""
        return " ".join(f"{name} {_shown(name, value)}" for name, value in sorted(self.options.items())) or "all"


def _shown(name: str, value: str) -> str:
    if name not in {"from", "to"}:
        return "***"
    mailbox, at, domain = value.rpartition("@")
    if domain_name(domain) is None or (not at and "." not in domain):
        return "***"
    return f"***@{domain}" if at and mailbox else value


def searches_for(filters: Iterable[Mapping[str, str]]) -> list[Search]:
    """Return the searches with these filters, each once; without any the plain window."""
    # Quoted, for two searches with one name would share their coverage.
    named = {urlencode(sorted(options.items()), safe="@") or "all": options for options in list(filters) or [{}]}
    return [Search(name, options) for name, options in named.items()]


def searches_of_domains(domains: Iterable[str]) -> list[dict[str, str]]:
    """Return the filters that find all mail of the domains: each as recipient and as sender."""
    return [{way: domain} for domain in domains for way in ("to", "from")]


def request_of(search: Search, window: Window, reason: str, narrowing: Narrowing = EVERYTHING) -> dict[str, object]:
    """Return the one item of a request.

    It begins a second early: whether the bounds are part of the range is unknown (reference notes G), and with a start
    that is not, the first second of every window would never be shown. A row read twice costs nothing.
    """
    start = window.start - ONE_SECOND
    request: dict[str, object] = {"start": api_time(start), "end": api_time(window.end), "searchReason": reason}
    if search.options:
        request["advancedTrackAndTraceOptions"] = dict(search.options)
    return {**request, **narrowing}
