"""What backfill and verify share: finding the account, checking the range, reading a window patiently."""

import asyncio
import difflib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from mcwatch.domain.backfill import RangeRequest, check_window, utc_text
from mcwatch.domain.errors import FailureReason, PermanentError, StoreUnavailable, TransientError
from mcwatch.domain.event import FINDER
from mcwatch.domain.page import Feed, FeedProgress, FinderPage
from mcwatch.domain.window.coverage import Cover, Span, windows_of
from mcwatch.domain.window.ranges import Window, merged, whole_second, within, without
from mcwatch.interfaces import Clock, Store
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.errors import HistoryExceeded
from mcwatch.pipeline.backpressure import Backpressure
from mcwatch.pipeline.ingest import Ingest
from mcwatch.sources import MessageFinderSource, Search

_TRIES = 5
_PAUSE_SECS = 5.0
_THROTTLED_TRIES = 60
"""A quota that stays closed opens some time; each try waits for it, so that these are hours."""

_RECHECK_SECS = 1.0
_CLOCKS_DIFFER = timedelta(minutes=1)
"""Whoever asked for a range up to now meant the now of a clock that may be ahead of the API's."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinderAccount:
    """One account's message finder as past ranges are read from it.

    ``source`` is its own and polls nothing: what it learns of the API while it reads must not pass for what polls have
    read. ``widest`` is the widest window. One step of an account is done at a time.
    """

    client: MimecastClient
    source: MessageFinderSource
    feed: Feed
    ingest: Ingest
    widest: timedelta
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class PastRanges:
    """The accounts whose past can be read.

    ``serves`` is False where no daemon runs: then no destination takes events, and a backlog that is full stays full.
    """

    def __init__(
        self, store: Store, pressure: Backpressure, *, clock: Clock, keep_fingerprints: timedelta, serves: bool
    ) -> None:
        self.store = store
        self.clock = clock
        self._pressure = pressure
        self._keep = keep_fingerprints
        self._serves = serves
        self._finders: dict[str, FinderAccount | None] = {}

    def add(self, account: str, finder: FinderAccount | None) -> None:
        """Take note of an account, and of its finder where it has one."""
        self._finders[account] = finder or self._finders.get(account)

    def finder(self, account: str) -> FinderAccount:
        """Return an account's finder; raises PermanentError where there is none."""
        if account not in self._finders:
            near = difflib.get_close_matches(account, self._finders, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"the accounts are {', '.join(sorted(self._finders))}"
            raise PermanentError(f"there is no account {account!r}", remedy=remedy)
        finder = self._finders[account]
        if finder is None:
            raise PermanentError(
                f"the account {account} has no message_finder, and only that one's past can be read",
                remedy="add a source of type message_finder to the account",
            )
        return finder

    @staticmethod
    def searches(finder: FinderAccount, progress: FeedProgress) -> list[Search]:
        """Return the finder's searches; raises PermanentError while there are none."""
        searches = finder.source.searches(progress)
        if not searches:
            raise PermanentError(
                f"the domains of the account {finder.feed.account} are not known yet: there is nothing to search for",
                remedy="let mcwatch run until it has discovered them, or name them in domains",
            )
        return searches

    async def search(self, finder: FinderAccount, name: str) -> tuple[Search, FeedProgress]:
        """Return a search by its name, and how far all of them have been read."""
        progress = await self.store.progress(finder.feed)
        for search in finder.source.searches(progress):
            if search.name == name:
                return search, progress
        raise PermanentError(
            "the account's searches have changed since the command began", remedy="run the same command again"
        )

    async def checked(self, finder: FinderAccount, request: RangeRequest) -> tuple[Window, list[str]]:
        """Return the range in whole seconds, and what was changed about it; raises PermanentError if it cannot be read.

        Raises what a request for a token raises: with API 2.0 it tells the API's time, by which ranges are measured.
        """
        if finder.client.skew_secs is None:
            await finder.client.prepare()
        window, notes = check_window(Window(request.start, request.end)), []
        now = whole_second(finder.client.server_now())
        if window.end > now:
            if window.end > now + _CLOCKS_DIFFER:
                notes.append(f"the end {utc_text(window.end)} has not come yet: the range ends now, at {utc_text(now)}")
            window = check_window(Window(window.start, max(now, window.start)))
        oldest, why = finder.source.oldest_start, "the API shows no older mail"
        if now - self._keep > oldest:
            oldest, why = now - self._keep, "older fingerprints are no longer kept (store.keep_fingerprints)"
        if window.start < oldest:
            raise PermanentError(
                f"the range begins at {utc_text(window.start)}, which is too long ago: {why}",
                remedy=f"begin at {utc_text(_next_minute(oldest))} or later",
            )
        return window, notes

    async def room(self) -> None:
        """Wait until the backlog and the disk allow another page.

        Raises StoreUnavailable where waiting is useless, for nothing is delivered meanwhile.
        """
        if not self._serves:
            await self._pressure.refresh()
        while self._pressure.holds(FINDER):
            if not self._serves:
                raise StoreUnavailable(
                    f"no more events can be kept ({', '.join(self._pressure.paused)})",
                    remedy="start mcwatch run, so that destinations take what waits, and run the same command again",
                )
            await self.clock.sleep(_RECHECK_SECS)

    async def pages(self, finder: FinderAccount, search: Search, window: Window) -> AsyncGenerator[FinderPage]:
        """Read a window, page by page, and what is left of it again where the API fails for a while.

        Raises TransientError when it goes on failing, AuthError and PermanentError at once; a quota that is closed is
        waited for.
        """
        left, before, tries, throttled = [window], None, 0, 0
        # A pass that ends with as much left as it began with leaves what is yet to come.
        while left and left != before:
            before = left
            try:
                async with _closed(finder.source.read_range(search, left[0])) as pages:
                    async for page in pages:
                        yield page
                        left = _left(left, page.covered.get(search.name, ()), window)
            except HistoryExceeded as error:
                raise PermanentError(
                    f"{finder.feed.account}: {error}", remedy="begin the range later: this API shows a shorter time"
                ) from error
            except TransientError as error:
                before = None
                is_throttled = error.reason is FailureReason.THROTTLED
                throttled, tries = throttled + is_throttled, tries + (not is_throttled)
                if tries >= _TRIES or throttled >= _THROTTLED_TRIES:
                    raise
                logger.warning(
                    "past_range_retried", account=finder.feed.account, search=search.label, reason=str(error.reason)
                )
                await self.clock.sleep(_PAUSE_SECS)


def _left(left: Sequence[Window], covered: Sequence[Span], window: Window) -> list[Window]:
    """Return what of a window is left after a page; what should not have been believed is to be read again."""
    read = windows_of(covered, Cover.READ, Cover.AGED, Cover.INCOMPLETE)
    doubted = within(windows_of(covered, Cover.UNREAD), window.start, window.end)
    return merged([*without(left, read), *doubted])


@asynccontextmanager
async def _closed(pages: AsyncIterator[FinderPage]) -> AsyncIterator[AsyncIterator[FinderPage]]:
    try:
        yield pages
    finally:
        if isinstance(pages, AsyncGenerator):
            await pages.aclose()


def _next_minute(at: datetime) -> datetime:
    """Return a moment that can still be asked for when it has been read and typed."""
    return at.replace(second=0, microsecond=0) + timedelta(minutes=2)


def labels_of(searches: Iterable[Search]) -> dict[str, str]:
    """Return what people call the searches, by name; those that look alike are numbered."""
    labels: dict[str, str] = {}
    for search in searches:
        alike = sum(1 for label in labels.values() if label == search.label or label.startswith(f"{search.label} #"))
        labels[search.name] = f"{search.label} #{alike + 1}" if alike else search.label
    return labels
