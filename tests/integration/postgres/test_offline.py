"""Reading the shared store beside its replicas: what is told, and that nothing changes."""

import psycopg
import pytest

from mcwatch.domain.errors import StoreCorrupt, StoreUnavailable
from mcwatch.domain.outbox import LetterChoice, Progress, Settlement
from mcwatch.store.postgres import PostgresOptions
from mcwatch.store.postgres.offline import OfflineStore
from tests.contract.store_engines import PostgresEngine
from tests.contract.store_kit import FINDER, append_numbers, figures_of, rejected
from tests.fakes.postgres import database

pytestmark = pytest.mark.timeout(15)


def _offline(url: str) -> OfflineStore:
    return OfflineStore(PostgresOptions(lambda: url, "offline"))


async def test_what_is_told() -> None:
    """Figures, progress and dead letters, while a replica works and after; it can write nothing."""
    engine = PostgresEngine()
    async with engine.open() as store:
        feed = await store.feed("acme", FINDER)
        await store.enrol({"hook": False})
        await append_numbers(store, engine, feed, range(3))
        await store.commit_page(feed, lambda page: page.set_cursor("all", b"1"))
        await store.settle(Settlement("hook", [Progress(feed.account_id, 1, 0, 0)], [rejected(feed.account_id, 0)]))
        with _offline(engine.url) as offline:
            told = offline.snapshot()
            assert 2 == figures_of(told, "hook").waiting
            assert 0 < told.outbox_bytes < told.outbox_limit_bytes
            assert {"all": b"1"} == offline.progress("acme", FINDER).cursors
            assert {} == offline.progress("corp", FINDER).cursors
            assert [one.letter for one in offline.letters(LetterChoice(), 0, 9)] == offline.dead_letters("hook", 9)
            assert 1 == len(offline.dead_letters(None, 9))
        assert (await store.snapshot()).destinations == told.destinations


def test_a_database_without_a_store() -> None:
    """One that mcwatch has never used is left as it is, with what to do."""
    with database() as url:
        with pytest.raises(StoreUnavailable, match="nothing was ever kept"), _offline(url):
            pass
        with psycopg.connect(url) as connection:
            assert (0,) == connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()


def test_a_database_of_another_program() -> None:
    """One whose tables are another program's is told as that, as a start tells it."""
    with database() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE account (owner text)")
        with pytest.raises(StoreCorrupt, match="'account' of another program"), _offline(url):
            pass


def test_a_newer_store() -> None:
    """One that a newer mcwatch has written is not guessed at."""
    with database() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE mcwatch_schema AS SELECT 99::bigint AS version")
        with pytest.raises(StoreCorrupt, match="newer mcwatch"), _offline(url):
            pass


async def test_nobody_answers() -> None:
    """A server that is not there is told as that, without the password."""
    with (
        pytest.raises(StoreUnavailable) as caught,
        _offline("postgresql://mcwatch:hush@127.0.0.1:1/x"),  # nothing listens there
    ):
        pass
    assert "hush" not in str(caught.value)
