"""The message finder: what happened to mail, searched in rolling time windows (reference notes G)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import msgspec
import structlog
from pydantic import Field, model_validator

from mcwatch.domain.errors import AuthError, McwatchError, StoreUnavailable
from mcwatch.domain.event import FINDER, identity
from mcwatch.domain.page import FinderPage
from mcwatch.domain.record import AwareTime, Record, Whole, WireAddress
from mcwatch.domain.status import SourceReading
from mcwatch.domain.window import Plan, Reach, Window, looks_cut, plan
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint, api_time
from mcwatch.option_types import Config, Duration
from mcwatch.sources.base import MOST_PAGES, RowId, RowReader, SourceConfigBase, SourceContext, endless_paging

HISTORY = timedelta(days=28)
"""A start of 30 days back was refused, with HTTP 200 and no rows (reference notes, fact 3)."""

Route = Literal["inbound", "outbound", "internal", "external"]
_ALL_ROUTES: list[Route] = ["inbound", "outbound", "internal", "external"]

logger = structlog.get_logger(__name__)


class FinderRow(Record, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A row as the vendor's page and real answers spell it."""

    id: RowId | None  # a row without one is read leniently, which asks what else tells it from others
    from_envelope: WireAddress | None = msgspec.field(default=None, name="fromEnv")
    from_header: WireAddress | None = msgspec.field(default=None, name="fromHdr")
    sender_ip: str | None = msgspec.field(default=None, name="senderIP")
    received_at: AwareTime | None = msgspec.field(default=None, name="received")
    sent_at: AwareTime | None = msgspec.field(default=None, name="sent")
    spam_score: Whole | float | None = msgspec.field(default=None, name="spamScore")
    detection_level: str | None = msgspec.field(default=None, name="detectionLevel")
    created_at: AwareTime | None = msgspec.field(default=None, name="created")
    next_attempt_at: AwareTime | None = msgspec.field(default=None, name="nextAttempt")
    locked_until: AwareTime | None = msgspec.field(default=None, name="lockedUntil")
    extra: dict[str, Any] | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="(extra)")


class FinderItem(msgspec.Struct, gc=False):
    """The one object in ``data``."""

    tracked_emails: list[FinderRow] | None = msgspec.field(default=None, name="trackedEmails")


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
    domains: list[Annotated[str, Field(min_length=1)]] = Field(
        [],
        description="Own domains, each searched as sender and as recipient; the API matches them without subdomains.",
    )
    searches: list[SearchConfig] = Field([], description="Raw searches beside those for the domains.")
    routes: list[Route] = Field(
        _ALL_ROUTES,
        min_length=1,
        description="Only rows of these routes are kept; a row that names no route always is.",
    )
    overlap: Duration = Field(300.0, ge=0, description="How far every poll looks back again for rows that appear late.")
    initial_look_back: Duration = Field(86400.0, gt=0, description="How far the very first poll looks back.")
    max_window: Duration = Field(21600.0, ge=1, description="The widest time range one request asks for.")
    page_size: int = Field(500, ge=1, le=1000, description="Rows asked for per page.")
    search_reason: str = Field(
        "mcwatch", description="Written to the tenant's archive search log with every search, so that it is recognised."
    )

    @property
    def requests_per_poll(self) -> int:
        """One for each search."""
        return len(searches_of(self))

    @property
    def searches_per_poll(self) -> int:
        """Every request is a search."""
        return self.requests_per_poll

    def probe(self, client: MimecastClient) -> tuple[Endpoint, Mapping[str, object]]:
        """Run the first search over the last minute."""
        end = client.server_now()
        window = Window(end - timedelta(minutes=1), end)
        return Endpoint.MESSAGE_FINDER, request_of(searches_of(self)[0], window, self.search_reason)

    def covered_until(self, cursors: Mapping[str, bytes]) -> datetime | None:
        """Return the end of what every search has read; None when one was never read."""
        ends = [read_cursor(cursors.get(search.name)) for search in searches_of(self)]
        known = [end for end in ends if end is not None]
        return min(known) if len(known) == len(ends) else None

    def build(self, context: SourceContext) -> "MessageFinderSource":
        """Make the source."""
        return MessageFinderSource(self, context)


@dataclass(frozen=True, slots=True)
class Search:
    """One search: the cursor's name and the filter as the API spells it."""

    name: str
    options: Mapping[str, str]


class Cursor(msgspec.Struct, frozen=True):
    """How far a search has been read completely."""

    read_until: datetime


def searches_of(config: MessageFinderConfig) -> list[Search]:
    """Return the searches a configuration asks for, each once; without domains and searches the plain window."""
    asked = [{way: domain} for domain in config.domains for way in ("to", "from")]
    asked += [search.options() for search in config.searches]
    # Quoted, for two searches with one name would share a cursor.
    named = {urlencode(sorted(options.items()), safe="@") or "all": options for options in asked or [{}]}
    return [Search(name, options) for name, options in named.items()]


def request_of(search: Search, window: Window, reason: str) -> dict[str, object]:
    """Return the one item of a request."""
    request: dict[str, object] = {"start": api_time(window.start), "end": api_time(window.end), "searchReason": reason}
    if search.options:
        request["advancedTrackAndTraceOptions"] = dict(search.options)
    return request


def read_cursor(stored: bytes | None) -> datetime | None:
    """Return the end of what was read."""
    return msgspec.json.decode(stored, type=Cursor).read_until if stored else None


class MessageFinderSource:
    """``interfaces.Source`` for the message finder."""

    name = FINDER

    def __init__(self, config: MessageFinderConfig, context: SourceContext) -> None:
        self.interval_secs = config.interval
        self._config = config
        self._context = context
        self._searches = searches_of(config)
        self._routes = frozenset(config.routes) if set(config.routes) != set(_ALL_ROUTES) else None
        self._reader = RowReader(FinderItem, FinderRow, "trackedEmails")
        self._covered_until: datetime | None = None
        self._gaps_noted_until: dict[str, datetime] = {}
        self._reach = Reach(
            overlap=timedelta(seconds=config.overlap),
            first=timedelta(seconds=config.initial_look_back),
            step=timedelta(seconds=config.max_window),
            history=HISTORY,
        )

    def reading(self) -> SourceReading:
        """Return up to when every search has been read; None before the first poll."""
        return SourceReading(covered_until=self._covered_until)

    async def poll(self, cursors: Mapping[str, bytes]) -> AsyncIterator[FinderPage]:
        """Bring every search up to now. One that fails does not keep the others from being read.

        The error of the last search that failed is raised at the end; a refused credential ends the poll at once.
        """
        failure: McwatchError | None = None
        reached = {search.name: read_cursor(cursors.get(search.name)) for search in self._searches}
        self._measure(list(reached.values()))
        for search in self._searches:
            try:
                async for page in self._read_search(search, reached):
                    yield page
            except (AuthError, StoreUnavailable):
                raise
            except McwatchError as error:
                failure = error
        self._measure(list(reached.values()))
        if failure is not None:
            raise failure

    async def _read_search(self, search: Search, reached: dict[str, datetime | None]) -> AsyncIterator[FinderPage]:
        now, before = self._context.client.server_now(), reached[search.name]
        steps = plan(before, now, self._reach)
        self._note_gap(search, steps)
        if before is not None and before > now:
            # Written while the clock was wrong. Kept, it would hide every stop until that time comes.
            reached[search.name] = None
        pending = steps.windows[::-1]
        while pending:
            window = pending.pop()
            complete = False
            async for page in self._read_window(search, window, reached):
                yield page
                complete = bool(page.cursors)
            if complete:
                continue
            halves = window.halves()
            if halves is not None:
                self._context.metrics.finder_window_splits_total.labels(self._context.account).inc()
                pending.extend(halves[::-1])
                continue
            self._note_incomplete(search, window)
            yield FinderPage(rows=(), cursors=self._moved(search, window, reached))

    async def _read_window(
        self, search: Search, window: Window, reached: dict[str, datetime | None]
    ) -> AsyncIterator[FinderPage]:
        """Yield the pages of one window; the last one brings the cursor, unless the answer looks cut short."""
        unique: set[str] = set()
        unreadable_total = 0
        token: str | None = None
        tokens: set[str | None] = {None}
        for _ in range(MOST_PAGES):
            answer = await self._context.client.call(
                Endpoint.MESSAGE_FINDER,
                request_of(search, window, self._config.search_reason),
                self._reader.decoder,
                page_size=self._config.page_size,
                page_token=token,
            )
            rows, unreadable = self._reader.rows(answer)
            unique.update(row.id or identity(row) for row in rows)
            unreadable_total += len(unreadable)
            token = answer.next_token
            last = token in tokens
            tokens.add(token)
            size = min(answer.page_size or self._config.page_size, self._config.page_size)
            seen = len(unique) + unreadable_total
            cut = looks_cut(len(rows) + len(unreadable), seen, page_size=size, total=answer.total_count)
            page = FinderPage(rows=self._kept(rows), unreadable=unreadable)
            yield replace(page, cursors=self._moved(search, window, reached)) if last and not cut else page
            if last:
                return
        raise endless_paging(Endpoint.MESSAGE_FINDER)

    @staticmethod
    def _moved(search: Search, window: Window, reached: dict[str, datetime | None]) -> dict[str, bytes]:
        """Return the search's cursor behind the window; it never moves back, although every poll looks back.

        Only a cursor that was in the future does.
        """
        before = reached[search.name]
        until = window.end if before is None else max(before, window.end)
        reached[search.name] = until
        return {search.name: msgspec.json.encode(Cursor(until))}

    def _kept(self, rows: list[Record]) -> list[Record]:
        if self._routes is None:
            return rows
        return [row for row in rows if row.route is None or row.route.lower() in self._routes]

    def _note_gap(self, search: Search, steps: Plan) -> None:
        if steps.gap is None:
            return
        # A poll that fails meets the same gap at the next attempt: only what came to it is lost anew.
        start = max(steps.gap.start, self._gaps_noted_until.get(search.name, steps.gap.start))
        if start >= steps.gap.end:
            return
        self._gaps_noted_until[search.name] = steps.gap.end
        secs = (steps.gap.end - start).total_seconds()
        self._context.metrics.finder_gap_seconds_total.labels(self._context.account).inc(secs)
        logger.error(
            "finder_gap",
            account=self._context.account,
            search=search.name,
            start=api_time(start),
            end=api_time(steps.gap.end),
            remedy="the API no longer shows this range; ask Mimecast for an export if it is needed",
        )

    def _note_incomplete(self, search: Search, window: Window) -> None:
        self._context.metrics.finder_incomplete_windows_total.labels(self._context.account).inc()
        logger.error(
            "finder_window_incomplete",
            account=self._context.account,
            search=search.name,
            second=api_time(window.start),
            remedy="more mail in one second than an answer shows: narrow the searches (domains, searches)",
        )

    def _measure(self, reached: Sequence[datetime | None]) -> None:
        known = [at for at in reached if at is not None]
        if len(known) < len(reached) or not known:
            return
        oldest = min(known)
        self._covered_until = oldest
        metrics, account = self._context.metrics, self._context.account
        metrics.finder_coverage_end_timestamp_seconds.labels(account).set(oldest.timestamp())
        # Asked for at each scrape: the lag grows while nothing can be read, and that is when it is looked at.
        metrics.finder_lag_seconds.labels(account).set_function(self._lag_secs)

    def _lag_secs(self) -> float:
        covered = self._covered_until
        return 0.0 if covered is None else max(0.0, (self._context.client.server_now() - covered).total_seconds())
