"""How much waits for some destination, kept up to date from what moved, since it is asked for once a second."""

import sqlite3
from dataclasses import dataclass

_STANDING = (
    "SELECT a.id, a.head, p.reached FROM"
    " (SELECT account_id, min(position) AS reached FROM position GROUP BY account_id) p"
    " JOIN account a ON a.id = p.account_id"
)
_ROW_AT = (
    "SELECT first_offset, count FROM outbox INDEXED BY outbox_log"
    " WHERE account_id = ? AND first_offset <= ? ORDER BY first_offset DESC LIMIT 1"
)
_BETWEEN = (
    "SELECT coalesce(sum(count), 0), coalesce(sum(stored_bytes), 0) FROM outbox INDEXED BY outbox_log"
    " WHERE account_id = ? AND first_offset >= ? AND first_offset < ?"
)


@dataclass(frozen=True, slots=True)
class _Account:
    """One account's backlog: the rows from ``floor``, the first offset of the oldest row still needed, to ``head``."""

    head: int
    reached: int
    floor: int
    held_bytes: int


class Backlog:
    """Knows each account's backlog as of the last question; begins with nothing, so a restart counts everything once.

    Lives on one thread and asks within the caller's read transaction.
    """

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}

    def total_bytes(self, connection: sqlite3.Connection) -> int:
        """Return the stored bytes of the rows that some destination has not passed, a row begun included."""
        known = self._accounts
        self._accounts = {
            account_id: _moved(connection, account_id, (head, reached), known.get(account_id))
            for account_id, head, reached in connection.execute(_STANDING).fetchall()
        }
        return sum(account.held_bytes for account in self._accounts.values())


def _moved(
    connection: sqlite3.Connection, account_id: int, standing: tuple[int, int], before: _Account | None
) -> _Account:
    head, reached = standing
    if before is not None and (before.head, before.reached) == standing:
        return before
    if reached >= head:
        return _Account(head, reached, head, 0)
    row = connection.execute(_ROW_AT, (account_id, reached)).fetchone()
    floor: int = row[0] if row and row[0] + row[1] > reached else reached
    if before is not None and before.floor <= floor:
        count, passed_bytes = connection.execute(_BETWEEN, (account_id, before.floor, floor)).fetchone()
        # What was passed may have expired since; then only counting anew is exact.
        if count == floor - before.floor:
            added_bytes = connection.execute(_BETWEEN, (account_id, before.head, head)).fetchone()[1]
            return _Account(head, reached, floor, before.held_bytes + added_bytes - passed_bytes)
    held_bytes = connection.execute(_BETWEEN, (account_id, floor, head)).fetchone()[1]
    return _Account(head, reached, floor, held_bytes)
