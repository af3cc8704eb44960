"""The replicas on the status page."""

import msgspec

from mcwatch.httpserver import replica_table
from tests.browser import scenes
from tests.unit.httpserver.parsed import Parsed


def test_accounts_that_are_configured_nowhere_stand_apart() -> None:
    """Only where there are any."""
    [first, second, *_] = scenes.replicas().fleet
    for one, expected in ((first, "+1 not configured"), (second, "")):
        text = Parsed(replica_table.section(msgspec.structs.replace(scenes.replicas(), fleet=[one]))).text
        assert expected in text
        assert bool(expected) == ("not configured" in text)


def test_the_replica_that_tells_is_marked() -> None:
    """And no other."""
    text = Parsed(replica_table.section(scenes.replicas())).text
    assert "mcwatch-0 (this one)" in text
    assert 1 == text.count("(this one)")
