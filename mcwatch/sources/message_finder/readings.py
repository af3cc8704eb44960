"""What can be said of the searches to people: coverage, holes, how late the looks back are."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from mcwatch.domain.status import SearchReading, SourceReading
from mcwatch.domain.window.coverage import Cover, windows_of
from mcwatch.domain.window.coverage import missing as missing_of
from mcwatch.domain.window.ranges import merged, within
from mcwatch.sources.message_finder.ledger import Ledger


def reading_of(ledgers: Iterable[Ledger], now: datetime) -> SourceReading:
    """Return what every search has read, as of now on the API's clock."""
    searches: Sequence[SearchReading] = [_reading(ledger, now) for ledger in ledgers]
    until = min((one.covered_until for one in searches), default=None)
    return SourceReading(covered_until=until, searches=searches)


def _reading(ledger: Ledger, now: datetime) -> SearchReading:
    spans = ledger.spans
    # What has passed since the newest window is no hole yet: the lag says how much it is.
    newest = max((span.end for span in spans), default=now)
    return SearchReading(
        label=ledger.search.label,
        since=ledger.since,
        covered_until=ledger.covered_until(now),
        newest=newest,
        missing=missing_of(spans, ledger.since, newest),
        aged=merged(within(windows_of(spans, Cover.AGED), ledger.since, now)),
        incomplete=merged(windows_of(spans, Cover.INCOMPLETE)),
        gaps=merged(windows_of(spans, Cover.GAP)),
    )
