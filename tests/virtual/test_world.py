"""What is promised, and what is not."""

from collections.abc import Sequence

import pytest

from mcwatch.simulator import Simulator, SimulatorConfig
from tests.virtual.daemon import Span
from tests.virtual.scene import HOUR, MINUTE, MONDAY
from tests.virtual.world import MailLife, Promise, Showing, Tier, mail_lives

_TIER = Tier(10 * MINUTE, HOUR)
_UP = [(0, 9), (15, 26), (40, 41), (50, 120)]
"""Minutes after the mail was received."""


def _mail_life() -> MailLife:
    now = MONDAY.timestamp()
    return next(mail_lives(Simulator(SimulatorConfig(seed=3), lambda: now), now))


@pytest.mark.parametrize(
    ("shown", "promised"),
    [
        ((0, 9), False),
        ((0, 24), False),
        ((0, 25), True),
        ((16, 26), True),
        ((17, 50), False),
        ((45, 59), False),
        ((45, 60), True),
        ((51, 120), False),
        ((130, 200), False),
    ],
)
def test_a_state_needs_a_whole_period_of_a_tier(shown: Sequence[float], promised: bool) -> None:
    """It is promised when one time of being up, one look back and one time of being shown share that long."""
    life = _mail_life()
    received = life.mail.received
    up = [Span(received + MINUTE * begin, received + MINUTE * end) for begin, end in _UP]
    begin, end = (received + MINUTE * minutes for minutes in shown)
    showing = Showing(life.showings[0].sighting, [(begin, end)])
    assert promised == (Promise([_TIER], up, since=0.0).tier_for(life.mail, showing) is _TIER)
