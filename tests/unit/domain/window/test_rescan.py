"""The turns of the rescans, by example."""

from datetime import timedelta

from mcwatch.domain.window.ranges import ONE_SECOND, Window
from mcwatch.domain.window.rescan import Tier, TierTurns, Turn
from tests.unit.domain.window.ledgers import DAY, HOUR, MINUTE, NOW

DEEP = TierTurns(Tier(DAY, 16 * DAY), interval=MINUTE, step=6 * HOUR)


def test_names() -> None:
    """A tier is known by what was configured, in seconds."""
    assert "86400/1382400" == DEEP.tier.name


def test_nothing_is_due_at_the_start() -> None:
    """A tier that begins now has its first turns later, not all at once."""
    assert [] == list(DEEP.due(NOW, NOW))
    first_hour = list(DEEP.due(NOW, NOW + HOUR))
    assert 2 <= len(first_hour) <= 3


def test_turns_are_spread_over_the_period() -> None:
    """In every half hour of a day about the same small part of the look-back comes due."""
    counts = [len(list(DEEP.due(NOW + at * 30 * MINUTE, NOW + (at + 1) * 30 * MINUTE))) for at in range(48)]
    assert {1, 2} == set(counts)
    assert sum(counts) in {DEEP.cells, DEEP.cells + 1}


def test_after_a_long_stop_every_cell_has_one_turn() -> None:
    """However long the stop, all of the look-back is due once, and not for the stop's length."""
    turns = list(DEEP.due(NOW - 100 * DAY, NOW))
    windows = sorted(window for turn in turns for window in turn.windows)
    assert (NOW - 16 * DAY, NOW) == (windows[0].start, windows[-1].end)
    assert 16 * DAY == sum((window.length for window in windows), timedelta(0))
    assert sorted(turns, key=lambda turn: turn.at) == turns
    assert all(NOW - DAY < turn.at <= NOW for turn in turns)


def test_what_is_taken_is_not_due_again() -> None:
    """After the last turn is taken, none is left; taking one leaves those after it."""
    turns = list(DEEP.due(NOW - DAY, NOW))
    assert turns[1:] == list(DEEP.due(turns[0].at, NOW))
    assert [] == list(DEEP.due(turns[-1].at, NOW))


def test_a_look_back_within_one_window_is_one_cell() -> None:
    """A tier whose look-back fits one window reads it as one."""
    tier = TierTurns(Tier(10 * MINUTE, HOUR), interval=MINUTE, step=6 * HOUR)
    turns = list(tier.due(NOW - 8 * MINUTE, NOW))
    assert [[Window(NOW - HOUR, NOW)]] == [turn.windows for turn in turns]
    assert 8 * MINUTE == tier.period


def test_a_period_shorter_than_the_polls_is_bounded() -> None:
    """A tier that asks for more than polls can give comes with each poll at most, and never in no time."""
    assert 5 * MINUTE == TierTurns(Tier(10 * MINUTE, HOUR), interval=HOUR, step=HOUR).period
    assert ONE_SECOND == TierTurns(Tier(ONE_SECOND, HOUR), interval=HOUR, step=HOUR).period


def test_a_turn_that_was_begun_is_finished() -> None:
    """It keeps its windows after its cell's next turn has come, as long as they are within the look-back."""
    (turn, *_) = list(DEEP.due(NOW - DAY, NOW))
    later = turn.at + DEEP.period + MINUTE
    assert turn.at not in [other.at for other in list(DEEP.due(NOW - DAY, later))]
    found = DEEP.begun(turn.at, later)
    assert found is not None
    assert turn.at == found.at
    assert [one.end for one in turn.windows][:1] == [one.end for one in found.windows][:1]
    assert DEEP.begun(turn.at, turn.at + 40 * DAY) is not None, "the same cells' places in time have other windows"
    assert DEEP.begun(turn.at + DEEP.period / 1000, later) is None
    assert DEEP.begun(turn.at + ONE_SECOND, later) is None, "no cell has its turn then"
    assert Turn(turn.at, turn.windows) == DEEP.begun(turn.at, NOW)
