"""The options of the message finder."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field, JsonValue, model_validator

from mcwatch.domain.domains import domains
from mcwatch.domain.identity import Identity
from mcwatch.domain.page import FeedProgress
from mcwatch.domain.status import CheckResult, SourceReading
from mcwatch.domain.window.plan import Reach
from mcwatch.domain.window.ranges import Window, whole_second
from mcwatch.domain.window.rescan import Tier, TierTurns
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.option_types import Config, Duration
from mcwatch.sources.base import SourceConfigBase, SourceContext
from mcwatch.sources.message_finder.discovery import CURSOR, DISCOVER, DomainsOption, discover, read_domains
from mcwatch.sources.message_finder.ledger import Ledger
from mcwatch.sources.message_finder.reader import Manner
from mcwatch.sources.message_finder.readings import reading_of
from mcwatch.sources.message_finder.searches import Search, request_of, searches_for, searches_of_domains
from mcwatch.sources.message_finder.source import MessageFinderSource, Schedule
from mcwatch.sources.message_finder.stability import compare_ids

_FULL_HISTORY = timedelta(days=28)
HISTORY = _FULL_HISTORY - timedelta(minutes=5)
"""A start of 30 days back was refused, with HTTP 200 and no rows (reference notes, fact 3)."""

_LATE_POLLS = 3
"""So many intervals may pass between two polls before what lies between counts as missed and waits its turn."""

_MINUTE_SECS = 60.0

Route = Literal["inbound", "outbound", "internal", "external"]
_ALL_ROUTES: list[Route] = ["inbound", "outbound", "internal", "external"]


def _whole_secs(secs: float) -> timedelta:
    """Return so much time or up to a second more, for windows begin and end at whole seconds."""
    return timedelta(seconds=math.ceil(secs))


class RescanConfig(Config):
    """One of the slower, deeper looks."""

    every: Duration = Field(gt=0, description="Within this time all of look_back is read again once.")
    look_back: Duration = Field(gt=0, description="How far back it reads.")

    def tier(self) -> Tier:
        """Return it as the rules take it."""
        return Tier(timedelta(seconds=self.every), _whole_secs(self.look_back))


_RESCANS: list[JsonValue] = [
    {"every": "10m", "look_back": "1h"},
    {"every": "2h", "look_back": "24h"},
    {"every": "1d", "look_back": "16d"},
]


class SearchConfig(Config):
    """One raw search; at least one field, none of them empty."""

    from_: str | None = Field(None, alias="from", min_length=1, description="Sender: an address or a domain.")
    to: str | None = Field(None, min_length=1, description="Recipient: an address or a domain.")
    subject: str | None = Field(None, min_length=1, description="Text of the subject.")
    sender_ip: str | None = Field(None, min_length=1, description="Address of the sending host.")

    @model_validator(mode="after")
    def _says_something(self) -> "SearchConfig":
        if not self.options():
            raise ValueError("a search needs at least one of from, to, subject, sender_ip")
        return self

    def options(self) -> dict[str, str]:
        """Return the search as the API spells it."""
        fields = {"from": self.from_, "to": self.to, "subject": self.subject, "senderIP": self.sender_ip}
        return {name: value for name, value in fields.items() if value is not None}


class MessageFinderConfig(SourceConfigBase):
    """Reads what happened to mail."""

    type: Literal["message_finder"]
    domains: DomainsOption = Field(
        [],
        description="Own domains, each searched as sender and as recipient; the API matches them without subdomains. "
        "Or discover: the account's internal domains, asked of the API once a day.",
    )
    searches: list[SearchConfig] = Field([], description="Raw searches beside those for the domains.")
    routes: list[Route] = Field(
        _ALL_ROUTES,
        min_length=1,
        description="Only rows of these routes are kept; a row that names no route always is.",
    )
    identity: Identity = Field(
        Identity.ID,
        description="What names a row: its Mimecast id, or content (message key and state), for tenants whose ids "
        "change from poll to poll. A change makes rows within the look-backs new events once more.",
    )
    overlap: Duration = Field(300.0, ge=0, description="How far every poll looks back again for rows that appear late.")
    rescans: list[RescanConfig] = Field(
        [RescanConfig.model_validate(rescan) for rescan in _RESCANS],
        json_schema_extra={"default": _RESCANS},
        description="Slower, deeper looks for rows that appear late and for changes of status, spread over their "
        "period; held mail lives 14 days.",
    )
    initial_look_back: Duration = Field(86400.0, gt=0, description="How far the very first poll looks back.")
    max_window: Duration = Field(21600.0, ge=1, description="The widest time range one request asks for.")
    page_size: int = Field(500, ge=1, le=1000, description="Rows asked for per page.")
    search_reason: str = Field(
        "mcwatch", description="Written to the tenant's archive search log with every search, so that it is recognised."
    )

    def all_searches(self) -> list[Search]:
        """Return the searches asked for, those of the domains first; without those that are yet to be discovered."""
        return [] if self._filters() == [] and self.discovers else searches_for(self._filters())

    @property
    def discovers(self) -> bool:
        """Whether the domains are asked of the API."""
        return self.domains == DISCOVER

    def _filters(self) -> list[dict[str, str]]:
        listed = [] if isinstance(self.domains, str) else self.domains
        return searches_of_domains(listed) + [search.options() for search in self.searches]

    @property
    def _step(self) -> timedelta:
        return timedelta(seconds=math.floor(self.max_window))

    @property
    def rescans_back_secs(self) -> float:
        """As far as the deepest rescan, within the API's history."""
        deepest = max((rescan.look_back for rescan in self.rescans), default=0.0)
        return min(deepest, _FULL_HISTORY.total_seconds())

    def _rescans(self) -> list[TierTurns]:
        interval = timedelta(seconds=self.interval)
        return [TierTurns(rescan.tier(), interval, self._step) for rescan in self.rescans]

    def requests_per_minute(self, searches: int | None = None) -> float:
        """Return the requests needed while mail is quiet; of each search, or of so many where they are discovered."""
        count = len(self.all_searches()) if searches is None else searches
        rescans = sum((turns.cells + 1) / turns.period.total_seconds() for turns in self._rescans())
        return count * (1 / self.interval + rescans) * _MINUTE_SECS

    @property
    def searches_per_minute(self) -> float:
        """Every request is a search."""
        return self.requests_per_minute()

    @property
    def domain_per_minute(self) -> float:
        """Two searches for each."""
        return self.requests_per_minute(2) if self.discovers else 0.0

    def probe(self, client: MimecastClient) -> tuple[Endpoint, Mapping[str, object]]:
        """Run the first search over the last minute; where domains are discovered, list them."""
        searches = self.all_searches()
        if not searches:
            return Endpoint.INTERNAL_DOMAINS, {}
        end = client.server_now()
        return Endpoint.MESSAGE_FINDER, request_of(
            searches[0], Window(end - timedelta(minutes=1), end), self.search_reason
        )

    def review(self) -> CheckResult | None:
        """Name the rescans that come too often for how rarely polls do to keep within their period."""
        least = 4 * self.interval
        hasty = [rescan for rescan in self.rescans if rescan.every < least]
        if not hasty:
            return None
        periods = ", ".join(f"{rescan.every:g}s" for rescan in hasty)
        return CheckResult(
            "rescans",
            ok=False,
            detail=f"every {periods} cannot be kept with an interval of {self.interval:g}s",
            remedy=f"write every: {least:g}s or longer, or a shorter interval",
        )

    async def examine(self, client: MimecastClient) -> CheckResult | None:
        """Read some rows twice: are ids the same at both times? None where that plays no part.

        Where domains are discovered, this is also the first search: listing them needs another right than searching.
        """
        searches, matters = self.all_searches(), self.identity is not Identity.CONTENT
        if self.discovers:
            found = domains(await discover(client, None))
            searches = searches or searches_for(searches_of_domains(found))
        elif not matters:
            return None
        compared = await compare_ids(client, searches[0], self.search_reason)
        return compared if matters else None

    def reading(self, progress: FeedProgress, now: datetime) -> SourceReading:
        """Return what every search has read, as the store tells."""
        known = read_domains(progress.cursors.get(CURSOR))
        listed = sorted(known.listed_at) if known and self.discovers else []
        filters = searches_of_domains(listed) + self._filters()
        searches = searches_for(filters) if filters or not self.discovers else []
        read = [search for search in searches if search.name in progress.cursors]
        return reading_of([Ledger(search, progress, now) for search in read], whole_second(now))

    def build(self, context: SourceContext) -> MessageFinderSource:
        """Make the source."""
        schedule = Schedule(
            interval_secs=self.interval,
            search_per_minute=self.requests_per_minute(1),
            filters=self._filters(),
            discovers=self.discovers,
            reach=Reach(
                overlap=_whole_secs(self.overlap),
                fresh=_whole_secs(_LATE_POLLS * self.interval),
                first=_whole_secs(self.initial_look_back),
                step=self._step,
                history=HISTORY,
            ),
            rescans=self._rescans(),
        )
        manner = Manner(
            routes=frozenset(self.routes) if set(self.routes) != set(_ALL_ROUTES) else None,
            page_size=self.page_size,
            search_reason=self.search_reason,
            widest=self._step,
            identity=self.identity,
        )
        return MessageFinderSource(schedule, manner, context)
