"""The options of the message finder."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mcwatch.domain.window import Reach, Window
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.option_types import Config, Duration
from mcwatch.sources.base import SourceConfigBase, SourceContext
from mcwatch.sources.message_finder.searches import Search, read_cursor, request_of, searches_for
from mcwatch.sources.message_finder.source import Manner, MessageFinderSource

HISTORY = timedelta(days=28) - timedelta(minutes=5)
"""A start of 30 days back was refused, with HTTP 200 and no rows (reference notes, fact 3)."""

Route = Literal["inbound", "outbound", "internal", "external"]
_ALL_ROUTES: list[Route] = ["inbound", "outbound", "internal", "external"]


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

    def all_searches(self) -> list[Search]:
        """Return the searches asked for, those of the domains first."""
        asked: list[dict[str, str]] = [{way: domain} for domain in self.domains for way in ("to", "from")]
        return searches_for(asked + [search.options() for search in self.searches])

    @property
    def requests_per_poll(self) -> int:
        """One for each search."""
        return len(self.all_searches())

    @property
    def searches_per_poll(self) -> int:
        """Every request is a search."""
        return self.requests_per_poll

    def probe(self, client: MimecastClient) -> tuple[Endpoint, Mapping[str, object]]:
        """Run the first search over the last minute."""
        end = client.server_now()
        window = Window(end - timedelta(minutes=1), end)
        return Endpoint.MESSAGE_FINDER, request_of(self.all_searches()[0], window, self.search_reason)

    def covered_until(self, cursors: Mapping[str, bytes]) -> datetime | None:
        """Return the end of what every search has read; None when one was never read."""
        ends = [read_cursor(cursors.get(search.name)) for search in self.all_searches()]
        known = [end for end in ends if end is not None]
        return min(known) if len(known) == len(ends) else None

    def build(self, context: SourceContext) -> MessageFinderSource:
        """Make the source."""
        manner = Manner(
            interval_secs=self.interval,
            searches=self.all_searches(),
            routes=frozenset(self.routes) if set(self.routes) != set(_ALL_ROUTES) else None,
            page_size=self.page_size,
            search_reason=self.search_reason,
            reach=Reach(
                overlap=timedelta(seconds=self.overlap),
                first=timedelta(seconds=self.initial_look_back),
                step=timedelta(seconds=self.max_window),
                history=HISTORY,
            ),
        )
        return MessageFinderSource(manner, context)
