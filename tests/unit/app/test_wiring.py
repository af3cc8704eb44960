"""Putting a daemon together."""

import random
from pathlib import Path

import pytest

from mcwatch.app.wiring import Application
from mcwatch.domain.errors import ConfigError
from tests.fakes.clock import FakeClock
from tests.unit.app.settings import account, settings


async def test_every_account_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """Files that cannot be used are faults of the configuration, named with account, option and remedy."""
    odd = settings(
        tmp_path,
        account("fine"),
        account("one", tls={"ca_file": str(tmp_path / "gone.pem")}),
        account("two", proxy={"file": str(tmp_path / "gone.txt")}),
        account("three", proxy="no proxy"),
    )
    with pytest.raises(ConfigError) as failure:
        async with Application(odd, clock=FakeClock(), rng=random.Random(1)):
            pass
    first, second, third = failure.value.problems
    assert first.startswith("accounts.one.api.tls: ")
    assert "gone.pem" in first
    assert "check that the files exist" in first
    assert second.startswith("accounts.two.api.proxy: ")
    assert "gone.txt" in second
    assert third.startswith("accounts.three.api.proxy: ")
    assert "http://[user:password@]host:port" in third


async def test_a_daemon_opens_and_closes(tmp_path: Path) -> None:
    """Entered, it knows its parts by name; left, its store can be opened again."""
    for _ in range(2):
        async with Application(settings(tmp_path), clock=FakeClock(), rng=random.Random(1)) as application:
            assert ["acme/processing_queue"] == list(application.parts.pollers)
            assert ["out"] == list(application.parts.dispatchers)
            assert {"acme"} == set(application.parts.account_names.values())
            assert (await application.report()).live
