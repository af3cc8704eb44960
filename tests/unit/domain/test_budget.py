"""The verdict on a quota."""

import pytest

from mcwatch.domain.budget import OBSERVED_SECS, REMEDY, GatePressure, verdict

CALM = GatePressure(sent_per_minute=60.0, waited_share=0.0, over_secs=OBSERVED_SECS)


def pressed(sent_per_minute: float, waited_share: float = 0.9, over_secs: float = OBSERVED_SECS) -> GatePressure:
    """Give a gate at which urgent requests waited."""
    return GatePressure(sent_per_minute, waited_share, over_secs)


def test_a_ceiling_below_the_need_is_too_small_at_once() -> None:
    """What the configuration says by itself needs no observation."""
    expected = (
        "the quota is too small: the configuration needs 132.0 requests a minute, "
        "the API and max_requests_per_minute allow 120.0"
    )
    assert expected == verdict(132.0, 120.0, GatePressure())


def test_an_api_that_lets_too_little_through_is_told_with_what_it_lets_through() -> None:
    """Where urgent requests wait most of ten minutes and fewer go than are needed, the figures are need and flow."""
    text = verdict(132.0, 200.0, pressed(24.5))
    assert text is not None
    assert "needs 132.0 requests a minute" in text
    assert text.endswith("allow 24.5")


@pytest.mark.parametrize(
    "pressure",
    [
        GatePressure(),
        CALM,
        pressed(24.5, over_secs=OBSERVED_SECS - 1),  # the daemon has just begun
        pressed(24.5, waited_share=0.45),  # a 429 of four minutes and a half
        pressed(60.0),  # all that is needed goes, however it is spaced
        pressed(52.0),  # a poll more or less in the time observed
        pressed(200.0),  # a catch-up fills the ceiling
    ],
)
def test_no_false_alarm(pressure: GatePressure) -> None:
    """A start, a short 429, a catch-up and close spacing are no small quota."""
    assert verdict(60.0, 200.0, pressure) is None


def test_a_ceiling_just_large_enough_is_enough() -> None:
    """Needing all that is allowed is allowed."""
    assert verdict(120.0, 120.0, CALM) is None


@pytest.mark.parametrize("option", ["max_requests_per_minute", "interval", "domains", "rescans"])
def test_the_remedy_names_the_options(option: str) -> None:
    """What can be changed is named as it is written."""
    assert option in REMEDY
