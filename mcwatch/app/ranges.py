"""What backfill and verify share: finding the account, checking the range, reading a window patiently."""

import asyncio
import difflib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
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

_STEP_SECS = 60.0
"""So long is worked at one step: whoever asked is answered soon, and the steps of other commands come in between."""

_TRIES = 5
_PAUSE_SECS = 5.0
_RECHECK_SECS = 1.0
_CLOCKS_DIFFER = timedelta(minutes=1)
"""Whoever asked for a range up to now meant the now of a clock that may be ahead of the API's."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinderAccount:
    """One account's message finder as past ranges are read from it.

    ``source`` is that of backfills, ``comparing`` that of verifications, and neither polls: each learns how far the API
    can be believed from what was read for its own ends, and takes back only what it has itself let pass for read.
    ``widest`` is the widest window. One step of an account is done at a time.
    """

    client: MimecastClient
    source: MessageFinderSource
    comparing: MessageFinderSource
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

    def put(self, account: str, finder: FinderAccount | None) -> None:
        """Take note of an account, and of its finder where it has one."""
        self._finders[account] = finder

    def remove(self, account: str) -> None:
        """Forget an account."""
        del self._finders[account]

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
            # A reload closes the client of a changed account as soon as it can have the turn.
            async with finder.turn:
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

    async def pages_to_commit(self, reading: "Reading") -> AsyncGenerator[FinderPage]:
        """Read a window as long as the backlog and the disk allow another page and the step's time is not over.

        Raises as :meth:`Reading.pages` does, and StoreUnavailable where waiting for room is useless.
        """
        if not await self._room(reading):
            return
        async with aclosing(reading.pages()) as pages:
            async for page in pages:
                if not await self._room(reading):
                    return
                yield page

    async def _room(self, reading: "Reading") -> bool:
        """Wait until there is room for another page; tell whether there is, now or when the step's time is over.

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
            if reading.is_over:
                return False
            await self.clock.sleep(_RECHECK_SECS)
        return True


@dataclass(frozen=True, slots=True)
class Target:
    """A search of an account, and the source that reads it."""

    account: str
    source: MessageFinderSource
    search: Search


class Reading:
    """One step: a window of one search, read patiently until it is done or the step's time is over."""

    def __init__(
        self,
        target: Target,
        window: Window,
        *,
        whole: Window,
        progress: FeedProgress,
        clock: Clock,
    ) -> None:
        """Begin the step now.

        What turns out within ``whole`` not to have been shown is read again, but what ``progress`` has as read.
        """
        self._target = target
        self._search = target.search
        self._whole = whole
        self._progress = progress
        self._clock = clock
        self._until = clock.monotonic() + _STEP_SECS
        self._left = [window]
        self._is_done = False
        self._is_cut = False

    @property
    def is_over(self) -> bool:
        """Whether the time of the step is over."""
        return self._clock.monotonic() >= self._until

    @property
    def rest(self) -> list[Window]:
        """What is left to be asked for in another step; what is yet to come is not."""
        return [] if self._is_done else self._left

    async def pages(self) -> AsyncGenerator[FinderPage]:
        """Read the window, page by page, and what is left of it again where the API fails for a while.

        Raises TransientError when it goes on failing, AuthError and PermanentError at once; a quota that is closed is
        waited for, in this step or the next.
        """
        before: list[Window] | None = None
        tries = 0
        # A pass that ends with as much left as it began with leaves what is yet to come.
        while self._left and self._left != before:
            before = self._left
            try:
                async with aclosing(self._pass(self._left[0])) as pages:
                    async for page in pages:
                        yield page
            except TransientError as error:
                is_throttled = error.reason is FailureReason.THROTTLED
                before, tries = None, tries + (not is_throttled)
                if tries >= _TRIES:
                    raise
                logger.warning(
                    "past_range_retried",
                    account=self._target.account,
                    search=self._search.label,
                    reason=str(error.reason),
                )
                if is_throttled and self.is_over:
                    return
                await self._clock.sleep(_PAUSE_SECS)
            else:
                if self._is_cut:
                    return
        self._is_done = True

    async def _pass(self, window: Window) -> AsyncGenerator[FinderPage]:
        """Read until the window's end, or until something has been read and the time is over."""
        try:
            async with _closed(self._target.source.read_range(self._search, window, self._progress)) as pages:
                async for page in pages:
                    yield page
                    covered = page.covered.get(self._search.name, ())
                    self._left = _left(self._left, covered, self._whole)
                    # The reader forgets what it took back when it is asked for more.
                    takes_back = any(span.cover is Cover.UNREAD for span in covered)
                    if covered and not takes_back and self._left and self.is_over:
                        self._is_cut = True
                        return
        except HistoryExceeded as error:
            raise PermanentError(
                f"{self._target.account}: {error}", remedy="begin the range later: this API shows a shorter time"
            ) from error


def _left(left: Sequence[Window], covered: Sequence[Span], whole: Window) -> list[Window]:
    """Return what is left after a page; what of the whole should not have been believed is to be read again."""
    read = windows_of(covered, Cover.READ, Cover.AGED, Cover.INCOMPLETE)
    doubted = within(windows_of(covered, Cover.UNREAD), whole.start, whole.end)
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
