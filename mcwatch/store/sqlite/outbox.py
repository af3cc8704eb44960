"""Reading the log, and settling what became of it."""

import sqlite3
from collections.abc import Collection
from datetime import UTC, datetime

import zstandard

from mcwatch.domain.errors import StoreCorrupt
from mcwatch.domain.outbox import OutboxRow, Receipt, Settlement, Standing
from mcwatch.store.rows import milliseconds

_MOST_ROWS = 64

_READ = (
    "SELECT id, first_offset, count, observed_ms FROM outbox INDEXED BY outbox_log"
    " WHERE account_id = ?1 AND first_offset >="
    " coalesce((SELECT max(first_offset) FROM outbox WHERE account_id = ?1 AND first_offset <= ?2), 0)"
    " AND first_offset + count > ?2 ORDER BY first_offset"
)

_SKIP = (
    "INSERT OR REPLACE INTO skip (destination_id, account_id, start_offset, end_offset, from_ms, at_ms)"
    " SELECT destination_id, account_id, position, ?1, min(?2, coalesce((SELECT observed_ms FROM outbox INDEXED BY"
    " outbox_log WHERE account_id = ?4 AND first_offset <= position ORDER BY first_offset DESC LIMIT 1), ?2)), ?2"
    " FROM position WHERE destination_id = ?3 AND account_id = ?4"
)


def read_rows(
    connection: sqlite3.Connection, account_id: int, position: int, max_bytes: int, have: Collection[int]
) -> list[OutboxRow]:
    """Return rows from the one that holds ``position`` until their lines have ``max_bytes``, at least one."""
    rows: list[OutboxRow] = []
    room = max_bytes
    decompressor = zstandard.ZstdDecompressor()
    for row_id, first_offset, count, observed_ms in connection.execute(_READ, (account_id, position)):
        observed_at = datetime.fromtimestamp(observed_ms / 1000, UTC)
        if first_offset in have:
            rows.append(OutboxRow(first_offset, count, observed_at, None))
            # What is held already has a size too, but reading its name costs next to nothing: let the caller stop.
            if len(rows) >= _MOST_ROWS:
                break
            continue
        (body,) = connection.execute("SELECT body FROM outbox WHERE id = ?", (row_id,)).fetchone()
        try:
            lines = decompressor.decompress(body)
        except zstandard.ZstdError as error:
            raise StoreCorrupt(
                f"an outbox row of the store is damaged (row {row_id})",
                remedy="check the disk, then restore a backup",
            ) from error
        rows.append(OutboxRow(first_offset, count, observed_at, lines))
        room -= len(lines)
        if room <= 0 or len(rows) >= _MOST_ROWS:
            break
    return rows


def settle(connection: sqlite3.Connection, settlement: Settlement, now: datetime) -> None:
    """Apply a settlement: positions, counters, receipts, skipped ranges, dead letters."""
    (destination_id,) = connection.execute(
        "SELECT id FROM destination WHERE name = ?", (settlement.destination,)
    ).fetchone()
    _note_skips(connection, destination_id, settlement, now)
    connection.executemany(
        "UPDATE position SET position = ?, delivered = delivered + ?, not_selected = not_selected + ?,"
        " skipped = skipped + ? WHERE destination_id = ? AND account_id = ?",
        [
            (step.position, step.delivered, step.not_selected, step.skipped, destination_id, step.account_id)
            for step in settlement.progress
        ],
    )
    connection.executemany(
        "DELETE FROM receipt WHERE destination_id = ? AND account_id = ? AND start_offset < ?",
        [(destination_id, step.account_id, step.position) for step in settlement.progress],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO receipt"
        " (destination_id, account_id, start_offset, end_offset, delivered, token, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (destination_id, one.account_id, one.start, one.end, one.delivered, one.token, milliseconds(one.at))
            for one in settlement.handed
        ],
    )
    if settlement.rejected:
        _keep_rejected(connection, destination_id, settlement, now)


def _note_skips(connection: sqlite3.Connection, destination_id: int, settlement: Settlement, now: datetime) -> None:
    connection.executemany(
        _SKIP,
        [
            (step.position, milliseconds(now), destination_id, step.account_id)
            for step in settlement.progress
            if step.skipped
        ],
    )


def _keep_rejected(connection: sqlite3.Connection, destination_id: int, settlement: Settlement, now: datetime) -> None:
    connection.executemany(
        "INSERT INTO dead_letter (destination_id, account_id, event_id, reason, detail, body, at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (destination_id, one.account_id, one.event_id, one.reason, one.detail, one.native, milliseconds(now))
            for one in settlement.rejected
        ],
    )
    connection.executemany(
        "INSERT INTO refusal (destination_id, reason, count) VALUES (?, ?, 1)"
        " ON CONFLICT (destination_id, reason) DO UPDATE SET count = count + 1",
        [(destination_id, one.reason) for one in settlement.rejected],
    )


def receipts(connection: sqlite3.Connection, destination: str) -> list[Receipt]:
    """Return a destination's receipts, by account and offset."""
    rows = connection.execute(
        "SELECT r.account_id, r.start_offset, r.end_offset, r.delivered, r.token, r.at_ms FROM receipt r"
        " JOIN destination d ON d.id = r.destination_id WHERE d.name = ? ORDER BY r.account_id, r.start_offset",
        (destination,),
    )
    return [
        Receipt(account, start, end, delivered, token, datetime.fromtimestamp(at_ms / 1000, UTC))
        for account, start, end, delivered, token, at_ms in rows
    ]


def standings(connection: sqlite3.Connection, destination: str) -> list[Standing]:
    """Return where each account stands for a destination; nothing for a destination that is not known."""
    rows = connection.execute(
        "SELECT a.id, a.name, coalesce((SELECT min(first_offset) FROM outbox WHERE account_id = a.id), a.head),"
        " p.position, a.head FROM position p JOIN account a ON a.id = p.account_id"
        " JOIN destination d ON d.id = p.destination_id WHERE d.name = ? ORDER BY a.name",
        (destination,),
    )
    return [Standing(*row) for row in rows]


def offset_at(connection: sqlite3.Connection, account_id: int, moment: datetime) -> int | None:
    """Return the offset of the account's first kept event recorded at ``moment`` or later, None when there is none."""
    (offset,) = connection.execute(
        "SELECT min(first_offset) FROM outbox INDEXED BY outbox_log WHERE account_id = ? AND observed_ms >= ?",
        (account_id, milliseconds(moment)),
    ).fetchone()
    found: int | None = offset
    return found


def offset_before(connection: sqlite3.Connection, account_id: int, moment: datetime) -> int | None:
    """Return the offset behind the account's last kept event recorded before ``moment``, None when there is none.

    Not where the first one after it begins: a clock that ran ahead for a while has stamped events in between.
    """
    (offset,) = connection.execute(
        "SELECT max(first_offset + count) FROM outbox INDEXED BY outbox_log WHERE account_id = ? AND observed_ms < ?",
        (account_id, milliseconds(moment)),
    ).fetchone()
    found: int | None = offset
    return found


def backlog_of(connection: sqlite3.Connection, destination: str) -> int:
    """Return the stored bytes of the rows that this one destination has not passed."""
    (held_bytes,) = connection.execute(
        "SELECT coalesce(sum((SELECT sum(stored_bytes) FROM outbox INDEXED BY outbox_log"
        " WHERE account_id = p.account_id AND first_offset + count > p.position)), 0)"
        " FROM position p JOIN destination d ON d.id = p.destination_id WHERE d.name = ?",
        (destination,),
    ).fetchone()
    found: int = held_bytes
    return found
