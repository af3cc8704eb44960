"""Reading the log, and settling what became of it."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import zstandard

from mcwatch.domain.errors import StoreCorrupt
from mcwatch.domain.outbox import OutboxRow, Progress, Receipt, Rejected, Settlement, Standing
from mcwatch.store.postgres.transaction import kept_text
from mcwatch.store.rows import milliseconds

_MOST_ROWS = 64
_SHRINKS = 4
"""How far events shrink at least as a rule: so much fewer stored bytes are asked for at a time than are to be read."""

# Bodies are asked for until their stored bytes reach the room, and one in any case.
_READ = (
    "SELECT first_offset, count, observed_ms, CASE WHEN wanted THEN body END, candidates FROM ("
    "SELECT first_offset, count, observed_ms, body, wanted, count(*) OVER () AS candidates,"
    " sum(CASE WHEN wanted THEN stored_bytes ELSE 0 END)"
    " OVER (ORDER BY first_offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_bytes FROM ("
    "SELECT first_offset, count, observed_ms, stored_bytes, body,"
    " first_offset <> ALL(%(have)b::bigint[]) AS wanted FROM outbox"
    " WHERE account_id = %(account)s AND first_offset >= coalesce((SELECT max(first_offset) FROM outbox"
    " WHERE account_id = %(account)s AND first_offset <= %(position)s), 0)"
    " AND first_offset + count > %(position)s ORDER BY first_offset LIMIT %(most)s) AS row) AS summed"
    " WHERE coalesce(before_bytes, 0) < %(room)s ORDER BY first_offset"
)

# Positions are locked in order of the account, and by every settlement before anything else.
_STAND = (
    "SELECT d.id, d.gone_secs, p.account_id, p.position FROM destination d"
    " JOIN position p ON p.destination_id = d.id WHERE d.name = %s AND p.account_id = ANY(%b::bigint[])"
    " ORDER BY p.account_id FOR NO KEY UPDATE OF p"
)

_STEPS = (
    "unnest(%(accounts)b::bigint[], %(positions)b::bigint[], %(delivered)b::bigint[], %(not_selected)b::bigint[],"
    " %(skipped)b::bigint[]) AS step (account_id, position, delivered, not_selected, skipped)"
)

_SKIP = (
    "INSERT INTO skip (destination_id, account_id, start_offset, end_offset, from_ms, at_ms)"  # noqa: S608
    " SELECT p.destination_id, p.account_id, p.position, step.position, least(%(now_ms)s, (SELECT o.observed_ms"
    " FROM outbox o WHERE o.account_id = p.account_id AND o.first_offset <= p.position"
    f" ORDER BY o.first_offset DESC LIMIT 1)), %(now_ms)s FROM {_STEPS}"
    " JOIN position p ON p.destination_id = %(destination)s AND p.account_id = step.account_id"
    " WHERE step.skipped > 0 ORDER BY p.account_id"
    " ON CONFLICT (destination_id, account_id, start_offset) DO UPDATE SET"
    " end_offset = excluded.end_offset, from_ms = excluded.from_ms, at_ms = excluded.at_ms"
)

_MOVE = (
    f"WITH passed AS (DELETE FROM receipt r USING {_STEPS} WHERE r.destination_id = %(destination)s"  # noqa: S608
    " AND r.account_id = step.account_id AND r.start_offset < step.position)"
    " UPDATE position p SET position = step.position, delivered = p.delivered + step.delivered,"
    " not_selected = p.not_selected + step.not_selected, skipped = p.skipped + step.skipped"
    f" FROM {_STEPS} WHERE p.destination_id = %(destination)s AND p.account_id = step.account_id"
)

_HAND = (
    "INSERT INTO receipt (destination_id, account_id, start_offset, end_offset, delivered, token, at_ms)"
    " SELECT %s, account_id, start_offset, end_offset, delivered, token, at_ms"
    " FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bytea[], %b::bigint[])"
    " AS given (account_id, start_offset, end_offset, delivered, token, at_ms) ORDER BY account_id, start_offset"
    " ON CONFLICT (destination_id, account_id, start_offset) DO UPDATE SET end_offset = excluded.end_offset,"
    " delivered = excluded.delivered, token = excluded.token, at_ms = excluded.at_ms"
)

_LETTERS = (
    "INSERT INTO dead_letter (destination_id, account_id, event_id, reason, detail, body, at_ms)"
    " SELECT %s, account_id, event_id, reason, detail, body, %s"
    " FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::bytea[]) WITH ORDINALITY"
    " AS given (account_id, event_id, reason, detail, body, number) ORDER BY number"
)

_REFUSALS = (
    "INSERT INTO refusal (destination_id, account_id, reason, count)"
    " SELECT %s, account_id, reason, count FROM unnest(%b::bigint[], %b::text[], %b::bigint[])"
    " AS given (account_id, reason, count) ORDER BY account_id, reason"
    " ON CONFLICT (destination_id, account_id, reason) DO UPDATE SET count = refusal.count + excluded.count"
)

_STANDINGS = (
    "SELECT a.id, a.name, coalesce((SELECT min(o.first_offset) FROM outbox o WHERE o.account_id = a.id), a.head),"
    " p.position, a.head FROM position p JOIN account a ON a.id = p.account_id"
    " JOIN destination d ON d.id = p.destination_id WHERE d.name = %s ORDER BY a.name"
)

_BACKLOG_OF = (
    "SELECT coalesce(sum(held.bytes), 0)::bigint FROM position p JOIN destination d ON d.id = p.destination_id"
    " CROSS JOIN LATERAL (SELECT sum(o.stored_bytes) AS bytes FROM outbox o WHERE o.account_id = p.account_id"
    " AND o.first_offset >= coalesce((SELECT max(b.first_offset) FROM outbox b WHERE b.account_id = p.account_id"
    " AND b.first_offset <= p.position), 0) AND o.first_offset + o.count > p.position) AS held WHERE d.name = %s"
)


def read_rows(
    connection: psycopg.Connection[Any], account_id: int, position: int, max_bytes: int, have: Collection[int]
) -> list[OutboxRow]:
    """Return rows from the one that holds ``position`` until their lines have ``max_bytes``, at least one."""
    rows: list[OutboxRow] = []
    room = max_bytes
    decompressor = zstandard.ZstdDecompressor()
    while True:
        asked = {
            "account": account_id,
            "position": rows[-1].first_offset + rows[-1].count if rows else position,
            "have": list(have),
            "most": _MOST_ROWS - len(rows),
            "room": max(room // _SHRINKS, 1),
        }
        found = connection.execute(_READ, asked, binary=True).fetchall()
        for first_offset, count, observed_ms, body, _ in found:
            lines = None if body is None else _lines(decompressor, account_id, first_offset, body)
            rows.append(OutboxRow(first_offset, count, datetime.fromtimestamp(observed_ms / 1000, UTC), lines))
            room -= len(lines or b"")
            if lines is not None and room <= 0:
                return rows
        # What is held already has a size too, but reading its name costs next to nothing: let the caller stop.
        is_all = not found or len(found) == found[0][-1]
        if is_all or len(rows) >= _MOST_ROWS:
            return rows


def _lines(decompressor: zstandard.ZstdDecompressor, account_id: int, first_offset: int, body: bytes) -> bytes:
    try:
        return decompressor.decompress(body)
    except zstandard.ZstdError as error:
        raise StoreCorrupt(
            f"an outbox row of the store is damaged (account {account_id}, offset {first_offset})",
            remedy="check the disk of the PostgreSQL server, then restore a backup",
        ) from error


def settle(connection: psycopg.Connection[Any], settlement: Settlement, now: datetime) -> set[int]:
    """Apply a settlement: positions, counters, receipts, skipped ranges, dead letters.

    Return the accounts of which nothing was written, because their position does not stand where the settlement takes
    it to stand, or is no more.
    """
    refused = Counter(one.account_id for one in settlement.rejected)
    steps = {step.account_id: step for step in settlement.progress}
    mentioned = steps.keys() | refused.keys() | {one.account_id for one in settlement.handed}
    rows = connection.execute(_STAND, (settlement.destination, sorted(mentioned))).fetchall()
    fitting = {account_id for _, _, account_id, at in rows if _fits(steps.get(account_id), refused[account_id], at)}
    if fitting:
        destination_id, gone_secs = rows[0][:2]
        if gone_secs is not None:
            # Whoever settles has it configured: another replica, started with another configuration, was wrong.
            connection.execute("UPDATE destination SET gone_secs = NULL WHERE id = %s", (destination_id,))
        _move(connection, destination_id, [steps[one] for one in sorted(fitting & steps.keys())], now)
        _hand(connection, destination_id, [one for one in settlement.handed if one.account_id in fitting])
        _reject(connection, destination_id, [one for one in settlement.rejected if one.account_id in fitting], now)
    return mentioned - fitting


def _fits(step: Progress | None, refused: int, position: int) -> bool:
    if step is None:
        return not refused
    return step.position - step.delivered - step.not_selected - step.skipped - refused == position


def _move(connection: psycopg.Connection[Any], destination_id: int, steps: Sequence[Progress], now: datetime) -> None:
    if not steps:
        return
    columns = {
        "destination": destination_id,
        "now_ms": milliseconds(now),
        "accounts": [step.account_id for step in steps],
        "positions": [step.position for step in steps],
        "delivered": [step.delivered for step in steps],
        "not_selected": [step.not_selected for step in steps],
        "skipped": [step.skipped for step in steps],
    }
    if any(step.skipped for step in steps):
        connection.execute(_SKIP, columns)
    connection.execute(_MOVE, columns)


def _hand(connection: psycopg.Connection[Any], destination_id: int, handed: Sequence[Receipt]) -> None:
    if not handed:
        return
    connection.execute(
        _HAND,
        (
            destination_id,
            [one.account_id for one in handed],
            [one.start for one in handed],
            [one.end for one in handed],
            [one.delivered for one in handed],
            [one.token for one in handed],
            [milliseconds(one.at) for one in handed],
        ),
    )


def _reject(
    connection: psycopg.Connection[Any], destination_id: int, rejected: Sequence[Rejected], now: datetime
) -> None:
    if not rejected:
        return
    connection.execute(
        _LETTERS,
        (
            destination_id,
            milliseconds(now),
            [one.account_id for one in rejected],
            [kept_text(one.event_id) for one in rejected],
            [str(one.reason) for one in rejected],
            [kept_text(one.detail) for one in rejected],
            [one.native for one in rejected],
        ),
    )
    counts = Counter((one.account_id, str(one.reason)) for one in rejected)
    accounts, reasons = ([key[at] for key in counts] for at in (0, 1))
    connection.execute(_REFUSALS, (destination_id, accounts, reasons, list(counts.values())))


def receipts(connection: psycopg.Connection[Any], destination: str) -> list[Receipt]:
    """Return a destination's receipts, by account and offset."""
    rows = connection.execute(
        "SELECT r.account_id, r.start_offset, r.end_offset, r.delivered, r.token, r.at_ms FROM receipt r"
        " JOIN destination d ON d.id = r.destination_id WHERE d.name = %s ORDER BY r.account_id, r.start_offset",
        (destination,),
    )
    return [
        Receipt(account, start, end, delivered, token, datetime.fromtimestamp(at_ms / 1000, UTC))
        for account, start, end, delivered, token, at_ms in rows
    ]


def standings(connection: psycopg.Connection[Any], destination: str) -> list[Standing]:
    """Return where each account stands for a destination; nothing for a destination that is not known."""
    return [Standing(*row) for row in connection.execute(_STANDINGS, (destination,))]


def offset_at(connection: psycopg.Connection[Any], account_id: int, moment: datetime) -> int | None:
    """Return the offset of the account's first kept event recorded at ``moment`` or later, None when there is none."""
    row = connection.execute(
        "SELECT first_offset FROM outbox WHERE account_id = %s AND observed_ms >= %s ORDER BY first_offset LIMIT 1",
        (account_id, milliseconds(moment)),
    ).fetchone()
    return row[0] if row else None


def offset_before(connection: psycopg.Connection[Any], account_id: int, moment: datetime) -> int | None:
    """Return the offset behind the account's last kept event recorded before ``moment``, None when there is none.

    Not where the first one after it begins: a clock that ran ahead for a while has stamped events in between.
    """
    row = connection.execute(
        "SELECT first_offset + count FROM outbox WHERE account_id = %s AND observed_ms < %s"
        " ORDER BY first_offset DESC LIMIT 1",
        (account_id, milliseconds(moment)),
    ).fetchone()
    return row[0] if row else None


def backlog_of(connection: psycopg.Connection[Any], destination: str) -> int:
    """Return the stored bytes of the rows that this one destination has not passed."""
    row = connection.execute(_BACKLOG_OF, (destination,)).fetchone()
    return row[0] if row else 0
