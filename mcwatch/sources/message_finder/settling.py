"""Putting a search's ledger in order at the beginning of a poll: what to take back, what is lost, where it begins."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from mcwatch.domain.page import FinderPage
from mcwatch.domain.window.coverage import Cover, Span
from mcwatch.domain.window.plan import lost, not_believed
from mcwatch.domain.window.rescan import Tier
from mcwatch.sources.message_finder.facts import ApiFacts
from mcwatch.sources.message_finder.ledger import Ledger

_DOUBT = timedelta(minutes=1)
"""Two estimates of the server's time differ by less: coverage farther in the future was written by a wrong clock."""

_SETTLES = timedelta(days=1)
"""How often what has left the history is taken off what is owed; it is kept in the store for longer than that."""


def settled(ledger: Ledger, now: datetime, facts: ApiFacts, tiers: Iterable[Tier]) -> FinderPage | None:
    """Take back what a wrong clock wrote, record what has left the history, store what is not stored yet.

    Returns the page that does so, None when all is in order.
    """
    ahead = not_believed(ledger.spans, now, _DOUBT) if facts.knows_time else ()
    horizon, since = now - facts.reach.history, ledger.since
    if since > now + _DOUBT:
        ledger.since = max(now - facts.reach.first, horizon)
    elif _begins_later(ledger, horizon, facts):
        # Only what lies before all that was ever read is not owed; a hole behind that is.
        ledger.since = max(since, min([horizon, *(span.start for span in ledger.spans)]))
    spans = [Span(one.start, one.end, Cover.UNREAD, now) for one in ahead]
    gaps = lost(ledger.spans, ledger.since, now, facts.reach)
    spans += [Span(one.start, one.end, Cover.GAP, now) for one in gaps]
    begun = ledger.begin_tiers(tiers, now, _DOUBT)
    changed = bool(spans) or begun or ledger.is_new or ledger.since != since
    if not changed and ledger.since > horizon - _SETTLES:
        return None
    ledger.since = max(ledger.since, horizon)
    ledger.is_new = False
    return ledger.page(*spans)


def _begins_later(ledger: Ledger, horizon: datetime, facts: ApiFacts) -> bool:
    """Tell whether a search was told to begin before all that an API of short history shows: nothing is lost.

    Where the first look back is no longer than that history, whatever was owed could have been read.
    """
    first = min((span.start for span in ledger.spans), default=horizon)
    told = facts.history_is_short and facts.reach.first > facts.reach.history
    return told and ledger.since < horizon and first > horizon - _SETTLES
