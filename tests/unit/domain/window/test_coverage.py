"""The coverage ledger by example."""

from datetime import UTC, datetime, timedelta

from mcwatch.domain.window.coverage import BRIEF_HISTORY, Cover, Span, covered_until, lay, missing, windows_of
from mcwatch.domain.window.ranges import Window
from tests.unit.domain.window.ledgers import DAY, EDGE, HOUR, MINUTE, NOW, span, window


def laid(*spans: Span) -> list[Span]:
    """Return the ledger with these spans laid in this order."""
    ledger: list[Span] = []
    for one in spans:
        ledger = lay(ledger, one)
    return ledger


def test_what_was_read_stays_read() -> None:
    """A later answer that was cut, or a gap, takes nothing away; it fills what is not known."""
    for cover in (Cover.INCOMPLETE, Cover.GAP):
        assert [span(0, 10), span(10, 20, cover, 200)] == laid(span(0, 10), span(5, 20, cover, 200))


def test_reading_replaces_what_knows_less() -> None:
    """A read takes the place of a gap and of what was incomplete, and leaves the rest of them."""
    for cover in (Cover.INCOMPLETE, Cover.GAP):
        expected = [span(0, 5, cover), span(5, 8), span(8, 20, cover)]
        assert expected == laid(span(0, 20, cover), span(5, 8))


def test_what_is_not_believed_is_unknown_again() -> None:
    """Unread takes away everything that is claimed, and is itself kept nowhere."""
    assert [span(0, 5), span(8, 10)] == laid(span(0, 10), span(5, 8, Cover.UNREAD))
    assert [] == laid(span(3, 5, Cover.GAP), span(0, 9, Cover.UNREAD))
    assert [] == laid(span(0, 9, Cover.UNREAD))


def test_what_is_read_late_is_aged_by_the_second() -> None:
    """The part of a range that is older than rejected mail lives is aged, the rest is read."""
    limit = NOW - BRIEF_HISTORY
    found = laid(Span(limit - 5 * MINUTE, limit + 5 * MINUTE, Cover.READ, NOW))
    assert [(limit - 5 * MINUTE, limit, Cover.AGED), (limit, limit + 5 * MINUTE, Cover.READ)] == [
        (one.start, one.end, one.cover) for one in found
    ]


def test_reading_again_late_ages_nothing() -> None:
    """What was read in time stays read in time; what was read late stays so."""
    early = Span(NOW - 10 * DAY, NOW - 9 * DAY, Cover.READ, NOW - 9 * DAY)
    late = Span(NOW - 9 * DAY, NOW - 8 * DAY, Cover.READ, NOW)
    again = Span(NOW - 10 * DAY, NOW - 8 * DAY, Cover.READ, NOW)
    assert laid(early, late) == laid(early, late, again)
    assert [Cover.READ, Cover.AGED] == [one.cover for one in laid(early, late, again)]


def test_neighbours_of_one_day_are_one_span() -> None:
    """Polls of a day make one span; a span that begins on another day stands alone, so that it says when."""
    midnight = datetime(2024, 2, 29, tzinfo=UTC)
    minutes = [Span(midnight + at * MINUTE, midnight + (at + 1) * MINUTE, Cover.READ, NOW) for at in range(-60, 1500)]
    found = laid(*minutes)
    assert [
        (midnight - HOUR, midnight),
        (midnight, midnight + DAY),
        (midnight + DAY, midnight + DAY + HOUR),
    ] == [(one.start, one.end) for one in found], "29 February is a day like others"


def test_a_joined_span_tells_the_newest_look() -> None:
    """Of two looks that make one span the later one counts."""
    assert [span(0, 5, at=90)] == laid(span(0, 3, at=50), span(3, 5, at=90))


def test_missing_is_what_nothing_is_known_of() -> None:
    """Gaps and incomplete seconds are known; what is between is owed, oldest first."""
    ledger = laid(span(2, 4, Cover.GAP), span(6, 7, Cover.INCOMPLETE), span(8, 10))
    assert [window(0, 2), window(4, 6), window(7, 8), window(10, 12)] == missing(
        ledger, window(0, 12).start, window(0, 12).end
    )
    assert [] == missing(ledger, EDGE, EDGE)
    assert [] == missing(ledger, EDGE + MINUTE, EDGE)


def test_covered_until_the_oldest_missing_moment() -> None:
    """It is where the first hole begins, and never lies ahead of the time that is asked about."""
    ledger = laid(span(0, 4), span(6, 10))
    assert window(4, 4).start == covered_until(ledger, EDGE, window(0, 10).end)
    assert window(0, 10).end == covered_until(laid(span(0, 99)), EDGE, window(0, 10).end)
    assert NOW == covered_until([], NOW + DAY, NOW)


def test_windows_of_kinds() -> None:
    """Ranges are told by kind, or all of them."""
    ledger = laid(span(0, 4), span(6, 10, Cover.GAP))
    assert [window(6, 10)] == windows_of(ledger, Cover.GAP)
    assert [window(0, 4), window(6, 10)] == windows_of(ledger) == [one.window for one in ledger]
    assert Window(EDGE, EDGE + timedelta(seconds=4)) == ledger[0].window
