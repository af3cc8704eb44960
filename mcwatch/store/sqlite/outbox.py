"""Reading the log, and settling what became of it."""

import sqlite3
from collections.abc import Collection
from datetime import UTC, datetime

import zstandard

from mcwatch.domain.errors import StoreCorrupt
from mcwatch.domain.outbox import OutboxRow, Settlement
from mcwatch.store.sqlite.transaction import milliseconds

_MOST_ROWS = 64

_READ = (
    "SELECT id, first_offset, count, observed_ms FROM outbox INDEXED BY outbox_log"
    " WHERE account_id = ?1 AND first_offset >="
    " coalesce((SELECT max(first_offset) FROM outbox WHERE account_id = ?1 AND first_offset <= ?2), 0)"
    " AND first_offset + count > ?2 ORDER BY first_offset"
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
    """Apply a settlement: positions, counters, dead letters."""
    (destination_id,) = connection.execute(
        "SELECT id FROM destination WHERE name = ?", (settlement.destination,)
    ).fetchone()
    connection.executemany(
        "UPDATE position SET position = ?, delivered = delivered + ?, not_selected = not_selected + ?"
        " WHERE destination_id = ? AND account_id = ?",
        [
            (step.position, step.delivered, step.not_selected, destination_id, step.account_id)
            for step in settlement.progress
        ],
    )
    if not settlement.rejected:
        return
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
