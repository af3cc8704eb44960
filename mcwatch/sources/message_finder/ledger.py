"""How far one search has been read: the store's coverage, and what the reader itself remembers."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from mcwatch.domain.page import FeedProgress, FinderPage
from mcwatch.domain.window.coverage import Cover, Span, covered_until, lay, windows_of
from mcwatch.domain.window.ranges import Window, without
from mcwatch.domain.window.rescan import Tier
from mcwatch.sources.message_finder.searches import Search

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class TierProgress(msgspec.Struct, frozen=True):
    """Up to which moment the turns of a tier were taken, and how far the one begun then has been read."""

    taken_until: datetime
    turn_at: datetime | None = None
    read_until: datetime | None = None


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of a search beside its coverage.

    ``since`` is where what is owed begins; all before is known to be covered, lost or not asked for. ``tiers`` is the
    progress of the rescans by tier. ``read_until`` was all that the first versions kept.
    """

    since: datetime | None = None
    tiers: dict[str, TierProgress] = {}
    read_until: datetime | None = None


class Ledger:
    """One search as the store has it, and as the pages of this poll change it once they are committed."""

    def __init__(self, search: Search, progress: FeedProgress, begin: datetime) -> None:
        """Read the stored state; a search never read before is owed from ``begin`` on."""
        stored = progress.cursors.get(search.name)
        cursor = msgspec.json.decode(stored, type=Cursor) if stored else Cursor()
        self.search = search
        self.is_new = cursor.since is None
        self.since = cursor.since or cursor.read_until or begin
        self.tiers = cursor.tiers
        self.spans = list(progress.coverage.get(search.name, ()))

    def cursor(self) -> dict[str, bytes]:
        """Return what is to be stored beside the coverage."""
        return {self.search.name: msgspec.json.encode(Cursor(self.since, self.tiers))}

    def page(self, *spans: Span) -> FinderPage:
        """Return a page of no answer that brings coverage and the cursor."""
        covered = {self.search.name: spans} if spans else {}
        return FinderPage(rows=(), cursors=self.cursor(), covered=covered, answered=False)

    def apply(self, page: FinderPage) -> None:
        """Take over what a committed page has covered."""
        for span in page.covered.get(self.search.name, ()):
            touched = [one for one in self.spans if one.start <= span.end and one.end >= span.start]
            others = [one for one in self.spans if one.start > span.end or one.end < span.start]
            self.spans = sorted([*others, *lay(touched, span)], key=lambda one: one.start)

    def begin_tiers(self, tiers: Iterable[Tier], now: datetime, doubt: timedelta) -> bool:
        """Let new tiers begin now, for all of their look-back has yet to come due, and forget those that are gone.

        One whose progress lies farther ahead than ``doubt`` was led by a wrong clock and begins again. Returns whether
        anything changes that is to be stored.
        """
        before = self.tiers
        kept = {name: progress for name, progress in before.items() if progress.taken_until <= now + doubt}
        self.tiers = {tier.name: kept.get(tier.name) or TierProgress(now) for tier in tiers}
        return self.tiers != before

    def advance(self, tier: Tier, progress: TierProgress) -> None:
        """Note how far a tier has come; :meth:`cursor` then says so."""
        self.tiers = {**self.tiers, tier.name: progress}

    def covered_until(self, now: datetime) -> datetime:
        """Return up to where nothing is missing."""
        return covered_until(self.spans, self.since, now)

    def aged(self) -> list[Window]:
        """Return what of the time owed was read too late for rejected and deferred mail."""
        return without(windows_of(self.spans, Cover.AGED), [Window(_LONG_AGO, self.since)])

    def gaps(self) -> list[Window]:
        """Return what left the API's history before it was read."""
        return windows_of(self.spans, Cover.GAP)

    def unread(self, window: Window) -> list[Window]:
        """Return what of a window has not been read completely."""
        return without([window], windows_of(self.spans, Cover.READ, Cover.AGED))

    def incomplete(self) -> list[Window]:
        """Return the ranges of which not everything was shown, oldest first."""
        return windows_of(self.spans, Cover.INCOMPLETE)
