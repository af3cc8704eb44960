"""Commands as rows: who picks them up, and what becomes of those that nobody does or waits for."""

import psycopg
import pytest

from mcwatch.domain.errors import MisconfiguredError
from tests.integration.postgres.replicas import account, lapse, replica, scalar

_NEXT = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"


async def test_command_goes_to_the_holder_of_its_account(url: str) -> None:
    """A command that names an account is done by its holder, once, and its answer is found."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        feed = await account(a)
        number = await b.commands.ask("/backfill", b"{}", "acme")

        assert await b.commands.pick() is None
        picked = await a.commands.pick()
        assert picked is not None
        assert (number, feed.account_id, "/backfill", b"{}") == (
            picked.id,
            picked.account_id,
            picked.path,
            picked.question,
        )
        assert await a.commands.pick() is None
        assert not await b.commands.answer(number, answer=b"not mine")
        assert await a.commands.answer(number, answer=b"done")

        standing = await b.commands.look(number)
        assert standing is not None
        assert (b"done", None, True) == (standing.answer, standing.failure, standing.has_ended)


async def test_command_for_nobody_in_particular_is_done_once(url: str) -> None:
    """A command without an account is picked by one replica, and again when that one is gone."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        number = await b.commands.ask("/letters", b"")
        picked = await a.commands.pick()
        assert picked is not None
        assert await b.commands.pick() is None

        lapse(url, a)

        picked = await b.commands.pick()
        assert picked is not None
        assert await b.commands.answer(number, failure=b"{}")
        assert not await a.commands.answer(number, answer=b"late")


async def test_command_moves_with_its_account(url: str) -> None:
    """A command whose account was taken over in the middle is done again by the next holder."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        feed = await account(a)
        await b.commands.ask("/backfill", b"", "acme")
        assert await a.commands.pick() is not None
        lapse(url, a)
        await b.leases.take([feed.account_id])

        assert await b.commands.pick() is not None


async def test_command_that_nobody_waits_for_is_not_begun(url: str) -> None:
    """A command is begun only while its asker looks for it."""
    async with replica(url) as a:
        number = await a.commands.ask("/letters", b"")
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE command SET waited_at = waited_at - interval '16 s'")
        assert await a.commands.pick() is None

        await a.commands.look(number)

        assert await a.commands.pick() is not None


async def test_unknown_account_is_refused(url: str) -> None:
    """A command for an account that the store does not know is no command."""
    async with replica(url) as a:
        with pytest.raises(MisconfiguredError, match="'nobody'"):
            await a.commands.ask("/backfill", b"", "nobody")


async def test_commands_go_after_a_day(url: str) -> None:
    """Expiry removes what was asked a day ago, answered or not."""
    async with replica(url) as a:
        old = await a.commands.ask("/letters", b"")
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE command SET asked_at = asked_at - interval '25 h'")
        await a.commands.ask("/letters", b"")

        await a.expire(a._clock.now())

        assert 1 == scalar(url, "SELECT count(*) FROM command")
        assert await a.commands.look(old) is None


async def test_looking_for_commands_writes_nothing(url: str) -> None:
    """A replica looks twice a second: it takes a transaction's number only where there is something to take."""
    async with replica(url, "a") as a, replica(url, "b") as b:
        await account(a)
        await a.commands.ask("/backfill", b"{}", "acme")
        before = scalar(url, _NEXT)
        for _ in range(3):
            assert await b.commands.pick() is None
            assert set() == await b.commands.awaited([1])
        assert before == scalar(url, _NEXT)
        assert await a.commands.pick() is not None
        assert before != scalar(url, _NEXT)
