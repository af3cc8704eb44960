"""The coverage of 7 days as a bar, as words and as a table."""

from datetime import timedelta

import pytest

from mcwatch.domain.status import CoverageStatus, CoverRun, CoverState
from mcwatch.httpserver import coverage_bar
from tests.browser.scenes import NOW, coverage
from tests.unit.httpserver.parsed import Parsed


def test_every_hole_is_named_with_its_times() -> None:
    """Whoever sees no colours reads what it is, from when to when, and how long."""
    shown = coverage((CoverState.GAP, 62.0, 3.5), (CoverState.INCOMPLETE, 30.0, 0.001))
    text = " ".join(Parsed(coverage_bar.panel(shown, "key", "Coverage")).text.split())

    assert "Gap 10 Mar 00:20 to 03:50 UTC (3 h 30 min)" in text
    assert "Incomplete 11 Mar 08:20:07 to 08:20:10 UTC (3.6 s)" in text
    assert "2 holes, 3 h 30 min in all" in text


def test_the_picture_has_words() -> None:
    """A screen reader says what the bar shows."""
    assert coverage_bar.in_words(coverage((CoverState.GAP, 62.0, 3.5), owed_hours=100.0)) == (
        "Last 7 days: before the start 2 d 20 h, read 4 d, gap 3 h 30 min"
    )


def test_the_table_has_all_of_it_newest_first() -> None:
    """The exact times of every state stand there."""
    parsed = Parsed(coverage_bar.panel(coverage((CoverState.GAP, 62.0, 3.5)), "key", "Coverage"))
    rows = [tag for tag, _ in parsed.elements if tag == "tr"]

    assert len(rows) == 4
    assert parsed.text.index("2026-03-10 03:50:07") < parsed.text.index("2026-03-05 14:20:07")


@pytest.mark.parametrize(("minutes", "found"), [(2, 0), (14, 0), (15, 1), (600, 1)])
def test_what_the_next_polls_are_for_is_no_hole(minutes: int, found: int) -> None:
    """The newest quarter of an hour is always about to be read."""
    shown = coverage((CoverState.MISSING, minutes / 60, minutes / 60))

    assert len(coverage_bar.holes(shown)) == found


def test_an_old_stretch_is_a_hole_however_short() -> None:
    """It does not go away by itself at the next poll."""
    assert len(coverage_bar.holes(coverage((CoverState.MISSING, 5.0, 0.01)))) == 1


def test_a_hole_of_a_second_can_be_seen() -> None:
    """It is drawn with a least width, inside the bar, and above what is well."""
    shown = coverage((CoverState.INCOMPLETE, 0.0003, 0.0003))
    rects = [values for tag, values in Parsed(coverage_bar.bar(shown)).elements if tag == "rect"]
    ground, pattern = rects[-2:]

    assert (ground["class"], ground["x"], ground["width"]) == ("incomplete", "99.30%", "0.70%")
    assert pattern["fill"] == "url(#pattern-incomplete)"


@pytest.mark.parametrize("state", [state for state in CoverState if state is not CoverState.COVERED])
def test_every_state_but_read_has_a_pattern(state: CoverState) -> None:
    """Colour alone tells nothing, and the pattern that is used is on the page."""
    bar = coverage_bar.bar(
        CoverageStatus(NOW - timedelta(days=7), NOW, [CoverRun(NOW - timedelta(days=7), NOW, state)])
    )

    assert f"url(#pattern-{state})" in bar
    assert f'id="pattern-{state}"' in coverage_bar.patterns()


def test_many_holes_are_counted_after_the_first_four() -> None:
    """The newest are named, the table has them all."""
    found = coverage_bar.holes(
        coverage(*((CoverState.GAP, hours, 1.0) for hours in (90.0, 80.0, 70.0, 60.0, 50.0, 40.0)))
    )
    text = Parsed(coverage_bar.named(found)).text

    assert text.count("Gap") == 4
    assert "and 2 older ones" in text
    assert coverage_bar.named([]) == ""


def test_coarse_coverage_says_so() -> None:
    """Hours that are as bad as their worst second are not taken for exact."""
    exact = coverage()
    coarse = CoverageStatus(exact.start, exact.end, exact.runs, 3600)

    assert "In steps of 1 h," in coverage_bar.panel(coarse, "key", "Coverage")
    assert "In steps of" not in coverage_bar.panel(exact, "key", "Coverage")


def test_nothing_read_yet_is_not_called_complete() -> None:
    """A start with nothing but what is to come."""
    start = NOW - timedelta(days=7)
    fresh = CoverageStatus(start, NOW, [CoverRun(start, NOW, CoverState.BEFORE)])

    assert "nothing was read yet" in coverage_bar.panel(fresh, "key", "Coverage")


def test_what_was_read_since_a_late_start_is_said() -> None:
    """A daemon of a day has not read seven."""
    assert "everything since 11 Mar 14:20 UTC was read" in coverage_bar.panel(
        coverage(owed_hours=24.0), "key", "Coverage"
    )
    assert "everything was read" in coverage_bar.panel(coverage(), "key", "Coverage")
