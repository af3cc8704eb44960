"""What is said of a store without a daemon."""

from pathlib import Path

import pytest

from mcwatch.app import offline
from mcwatch.app.offline import offline_dead_letters, offline_routes, offline_status
from mcwatch.domain.errors import StoreUnavailable
from mcwatch.store.sqlite.connection import StoreLock, open_writer
from tests.unit.app.settings import settings


@pytest.fixture(autouse=True)
def _logging_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the process its logging, which the other tests listen to."""
    monkeypatch.setattr(offline, "configure", lambda _: None)


def test_answers_need_no_lock_and_write_nothing(tmp_path: Path) -> None:
    """A store that another process has just locked is told from, configured accounts it lacks are not added."""
    path = tmp_path / "mcwatch.db"
    connection = open_writer(path)
    connection.execute("INSERT INTO account (name) VALUES ('former')")
    connection.execute("INSERT INTO feed (account_id, source, new) VALUES (1, 'message_finder', 7)")
    connection.close()
    before = path.read_bytes()
    with StoreLock(path):
        report = offline_status(settings(tmp_path))
        assert [] == offline_dead_letters(settings(tmp_path), None, 10)
    assert [("former", 7)] == [(account.name, account.sources[0].new) for account in report.accounts]
    assert not report.live
    assert before == path.read_bytes()
    assert {"mcwatch.db", "mcwatch.db.lock"} == {file.name for file in tmp_path.iterdir()}


def test_missing_store_is_named(tmp_path: Path) -> None:
    """Where there is no store yet, that is said with a remedy, and none is made."""
    with pytest.raises(StoreUnavailable, match="there is no store") as caught:
        offline_status(settings(tmp_path))
    assert "mcwatch run" in caught.value.remedy
    assert [] == list(tmp_path.iterdir())


async def test_what_acts_takes_the_lock(tmp_path: Path) -> None:
    """It has the routes of a daemon, nothing listens, and two processes never work on one store."""
    open_writer(tmp_path / "mcwatch.db").close()
    async with offline_routes(settings(tmp_path)) as routes:
        assert {
            "/backfill/plan",
            "/backfill",
            "/verify/plan",
            "/verify",
            "/replay/plan",
            "/replay",
            "/dead-letters/show",
            "/dead-letters/retry",
            "/dead-letters/discard",
            "/destinations/forget",
        } == {route.path for route in routes}
        assert not (tmp_path / "mcwatch.db.sock").exists()
        with pytest.raises(StoreUnavailable):
            async with offline_routes(settings(tmp_path)):
                pass


async def test_what_acts_makes_no_store(tmp_path: Path) -> None:
    """In a wrong directory that is said instead."""
    with pytest.raises(StoreUnavailable, match="there is no store"):
        async with offline_routes(settings(tmp_path)):
            pass
    assert [] == list(tmp_path.iterdir())
