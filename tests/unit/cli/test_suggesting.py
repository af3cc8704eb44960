"""Did you mean."""

from mcwatch.cli.suggesting import suggestion


def test_the_nearest_or_all() -> None:
    """Whatever the case that was typed."""
    assert "did you mean chaos?" == suggestion("Choas", ["none", "chaos"])
    assert "there are chaos, none" == suggestion("tempest", ["none", "chaos"])
