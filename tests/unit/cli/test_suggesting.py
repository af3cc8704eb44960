"""Did you mean."""

from mcwatch.cli.suggesting import suggestion


def test_the_nearest_or_all() -> None:
    """Whatever the case that was typed."""
    assert "did you mean chaos?" == suggestion("Choas", ["none", "chaos"])
    assert "there are chaos, none" == suggestion("tempest", ["none", "chaos"])


def test_of_very_many_some_are_named() -> None:
    """Nobody reads a thousand names."""
    said = suggestion("x", (f"tenant-{number:04}" for number in range(1000)))
    assert said.startswith("there are tenant-0000, tenant-0001, ")
    assert said.endswith("tenant-0019 and 980 more")
