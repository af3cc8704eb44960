"""What people ask the fleet to do: rows that the replica concerned picks up and answers."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from mcwatch.domain.errors import MisconfiguredError
from mcwatch.store.postgres.connection import Connection

T = TypeVar("T")

WAITED_FOR_SECS = 15.0
"""What nobody has asked about for so long is not begun: whoever asked has gone away."""

_ASK = """
INSERT INTO command (account_id, path, question) SELECT id, %(path)s, %(question)s
FROM (SELECT id FROM account WHERE name = %(account)s UNION ALL SELECT NULL WHERE %(account)s::text IS NULL) AS named
RETURNING id
"""
_LOOK = """
UPDATE command SET waited_at = clock_timestamp() WHERE id = %s
RETURNING answer, failure, answered_at IS NOT NULL, taken_by
"""

# Taken by a replica that is gone, or that has lost the account, a command is open again: commands can be done twice.
_OPEN = """
SELECT id FROM command WHERE answered_at IS NULL AND waited_at > clock_timestamp() - make_interval(secs => %(waited)s)
  AND CASE WHEN account_id IS NULL
    THEN taken_by IS NULL OR taken_by <> ALL(ARRAY(
      SELECT id FROM replica WHERE seen_at > clock_timestamp() - make_interval(secs => %(lapse)s)))
    ELSE account_id = ANY(%(held)s) AND taken_by IS DISTINCT FROM %(me)s END
ORDER BY id LIMIT 1
"""
_PICK = f"""
UPDATE command SET taken_by = %(me)s WHERE id = ({_OPEN} FOR UPDATE SKIP LOCKED)
RETURNING id, account_id, path, question
"""  # noqa: S608 - a question of ours
_ANSWER = """
UPDATE command SET answer = %(answer)s, failure = %(failure)s, answered_at = clock_timestamp()
WHERE id = %(id)s AND taken_by = %(me)s AND answered_at IS NULL
"""
_GIVE_BACK = "UPDATE command SET taken_by = NULL WHERE id = %s AND taken_by = %s AND answered_at IS NULL"
_AWAITED = """
SELECT id FROM command WHERE id = ANY(%(ids)s) AND taken_by = %(me)s AND answered_at IS NULL
  AND waited_at > clock_timestamp() - make_interval(secs => %(waited)s)
"""
_EXPIRE = "DELETE FROM command WHERE asked_at < clock_timestamp() - interval '1 day'"


@dataclass(frozen=True, slots=True)
class Command:
    """A command for this replica. ``question`` is what was asked with it, as its asker encoded it."""

    id: int
    account_id: int | None
    path: str
    question: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """What has become of a command: one of ``answer`` and ``failure`` when it has ended, neither before."""

    answer: bytes | None
    failure: bytes | None
    has_ended: bool
    taken_by: UUID | None


def ask(connection: Connection, path: str, question: bytes, account: str | None) -> int:
    """Ask for something, of the holder of an account or of any replica; return the command's number.

    Raises MisconfiguredError for an account the store does not know.
    """
    given = {"path": path, "question": question, "account": account}
    row = connection.execute(_ASK, given).fetchone()
    if row is None:
        raise MisconfiguredError(
            f"the store knows no account {account!r}", remedy="check the account's name (mcwatch status lists them)"
        )
    return int(row[0])


def look(connection: Connection, command_id: int) -> Standing | None:
    """Say that somebody still waits, and return what has become of a command; None when it is gone."""
    row = connection.execute(_LOOK, (command_id,)).fetchone()
    return Standing(*row) if row else None


def is_open(connection: Connection, given: Mapping[str, object]) -> bool:
    """Tell whether there is something to :func:`pick`, without writing."""
    return connection.execute(_OPEN, given).fetchone() is not None


def pick(connection: Connection, given: Mapping[str, object]) -> Command | None:
    """Take the oldest open command for this replica, which holds the accounts ``given``; None without any."""
    row = connection.execute(_PICK, given).fetchone()
    return Command(*row) if row else None


def end(connection: Connection, me: UUID, command_id: int, answer: bytes | None, failure: bytes | None) -> bool:
    """Answer a command; return whether that was still this replica's to do."""
    given = {"me": me, "id": command_id, "answer": answer, "failure": failure}
    return connection.execute(_ANSWER, given).rowcount == 1


def give_back(connection: Connection, me: UUID, command_id: int) -> None:
    """Leave a command of this replica's to whoever takes it next."""
    connection.execute(_GIVE_BACK, (command_id, me))


def awaited(connection: Connection, me: UUID, command_ids: Collection[int]) -> set[int]:
    """Return those of these commands that are this replica's still, and that somebody waits for."""
    given = {"me": me, "ids": list(command_ids), "waited": WAITED_FOR_SECS}
    return {command_id for (command_id,) in connection.execute(_AWAITED, given)}


def expire(connection: Connection) -> None:
    """Remove the commands of yesterday, answered or not."""
    connection.execute(_EXPIRE)


class Do(Protocol):
    """Does work on a connection: what writes in a transaction of its own, a question without one."""

    def __call__(self, work: Callable[[Connection], T], /) -> Awaitable[T]:
        """Return the work's result, once it is committed where it writes."""


class PostgresCommands:
    """Commands on an open store, for those who ask and for the replicas that answer; all raise StoreUnavailable."""

    def __init__(
        self, write: Do, look: Do, replica: UUID, held: Callable[[], Collection[int]], lapse_secs: float
    ) -> None:
        self._write = write
        self._ask = look
        self._replica = replica
        self._held = held
        self._lapse_secs = lapse_secs

    async def ask(self, path: str, question: bytes, account: str | None = None) -> int:
        """Ask for something, of the holder of an account or of any replica; return the command's number.

        Raises MisconfiguredError for an account the store does not know.
        """
        return await self._write(lambda connection: ask(connection, path, question, account))

    async def look(self, command_id: int) -> Standing | None:
        """Return what has become of a command, None when it is gone.

        To be called every few seconds: what nobody looks for is not begun.
        """
        return await self._write(lambda connection: look(connection, command_id))

    async def pick(self, ready: Collection[int] | None = None) -> Command | None:
        """Take the oldest open command for this replica; of the accounts it holds, for those ``ready`` here."""
        held = [one for one in self._held() if ready is None or one in ready]
        given = {"me": self._replica, "held": held, "lapse": self._lapse_secs, "waited": WAITED_FOR_SECS}
        # Most often there is none, and even a transaction that finds nothing costs the server a write to its disk.
        if not await self._ask(lambda connection: is_open(connection, given)):
            return None
        return await self._write(lambda connection: pick(connection, given))

    async def give_back(self, command_id: int) -> None:
        """Leave a command to whoever takes it next."""
        await self._write(lambda connection: give_back(connection, self._replica, command_id))

    async def awaited(self, command_ids: Collection[int]) -> set[int]:
        """Return those of these commands that are this replica's still, and that somebody waits for."""
        return await self._ask(lambda connection: awaited(connection, self._replica, command_ids))

    async def answer(self, command_id: int, *, answer: bytes | None = None, failure: bytes | None = None) -> bool:
        """Answer a command with a result or a failure; return whether that was still this replica's to do."""
        return await self._write(lambda connection: end(connection, self._replica, command_id, answer, failure))
