"""How much waits for some destination, kept up to date from what moved, since it is asked for once a second."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

_STANDING = (
    "SELECT a.id, a.head, min(p.position) FROM position p JOIN account a ON a.id = p.account_id GROUP BY a.id, a.head"
)
_ROWS_AT = (
    "SELECT asked.account_id, row.first_offset, row.count"
    " FROM unnest(%b::bigint[], %b::bigint[]) AS asked (account_id, reached)"
    " CROSS JOIN LATERAL (SELECT o.first_offset, o.count FROM outbox o WHERE o.account_id = asked.account_id"
    " AND o.first_offset <= asked.reached ORDER BY o.first_offset DESC LIMIT 1) AS row"
)
_BETWEEN = (
    "SELECT asked.account_id, asked.start, held.count, held.bytes"
    " FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[]) AS asked (account_id, start, stop)"
    " CROSS JOIN LATERAL (SELECT coalesce(sum(o.count), 0)::bigint AS count,"
    " coalesce(sum(o.stored_bytes), 0)::bigint AS bytes FROM outbox o WHERE o.account_id = asked.account_id"
    " AND o.first_offset >= asked.start AND o.first_offset < asked.stop) AS held"
)

_Standing = tuple[int, int]
_Range = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Account:
    """One account's backlog: the rows from ``floor``, the first offset of the oldest row still needed, to ``head``."""

    head: int
    reached: int
    floor: int
    held_bytes: int


class Backlog:
    """Knows each account's backlog as of the last question; begins with nothing, so a restart counts everything once.

    Lives on one thread and asks within the caller's read transaction, at most four questions however many accounts.
    """

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}

    def total_bytes(self, connection: psycopg.Connection[Any]) -> int:
        """Return the stored bytes of the rows that some destination has not passed, a row begun included."""
        before = self._accounts
        standing = {account_id: (head, reached) for account_id, head, reached in connection.execute(_STANDING)}
        self._accounts = {
            account_id: before[account_id]
            for account_id, at in standing.items()
            if account_id in before and (before[account_id].head, before[account_id].reached) == at
        }
        moved = {account_id: at for account_id, at in standing.items() if account_id not in self._accounts}
        if moved:
            floors = _floors(connection, moved)
            self._accounts |= _followed(connection, moved, floors, before)
            self._accounts |= _counted(connection, moved, floors, self._accounts.keys())
        return sum(account.held_bytes for account in self._accounts.values())


def _floors(connection: psycopg.Connection[Any], moved: Mapping[int, _Standing]) -> dict[int, int]:
    """Return where the oldest row that is still needed begins, per account; the head where nothing waits."""
    floors = {account_id: min(head, reached) for account_id, (head, reached) in moved.items()}
    waiting = [account_id for account_id, (head, reached) in moved.items() if reached < head]
    if waiting:
        asked = waiting, [floors[account_id] for account_id in waiting]
        for account_id, first_offset, count in connection.execute(_ROWS_AT, asked):
            if first_offset + count > floors[account_id]:
                floors[account_id] = first_offset
    return floors


def _followed(
    connection: psycopg.Connection[Any],
    moved: Mapping[int, _Standing],
    floors: Mapping[int, int],
    before: Mapping[int, _Account],
) -> dict[int, _Account]:
    """Return the accounts for which what was passed and what was appended since is all there is to count."""
    known = {
        account_id: before[account_id]
        for account_id, floor in floors.items()
        if account_id in before and before[account_id].floor <= floor < moved[account_id][0]
    }
    passed = _between(connection, [(one, account.floor, floors[one]) for one, account in known.items()])
    # What was passed may have expired since; then only counting anew is exact.
    known = {one: account for one, account in known.items() if passed[one][0] == floors[one] - account.floor}
    added = _between(connection, [(one, account.head, moved[one][0]) for one, account in known.items()])
    return {
        one: _Account(*moved[one], floors[one], account.held_bytes + added[one][1] - passed[one][1])
        for one, account in known.items()
    }


def _counted(
    connection: psycopg.Connection[Any],
    moved: Mapping[int, _Standing],
    floors: Mapping[int, int],
    followed: Collection[int],
) -> dict[int, _Account]:
    """Return the other accounts, counted anew."""
    rest = [one for one in moved if one not in followed]
    held = _between(connection, [(one, floors[one], moved[one][0]) for one in rest if floors[one] < moved[one][0]])
    return {one: _Account(*moved[one], floors[one], held.get(one, (0, 0))[1]) for one in rest}


def _between(connection: psycopg.Connection[Any], ranges: Collection[_Range]) -> dict[int, tuple[int, int]]:
    """Return events and stored bytes of one range of offsets per account."""
    if not ranges:
        return {}
    columns = [[one[at] for one in ranges] for at in range(3)]
    return {account_id: (count, held) for account_id, _, count, held in connection.execute(_BETWEEN, columns)}
