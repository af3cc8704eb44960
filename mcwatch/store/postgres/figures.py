"""The stored figures, read as of one moment."""

from datetime import UTC, datetime
from typing import Any

import psycopg

from mcwatch.domain.outbox import DestinationFigures, FeedFigures, SkippedRange, StoreSnapshot
from mcwatch.store.postgres.backlog import Backlog
from mcwatch.store.postgres.moment import one_moment

_MOST_SKIPPED_RANGES = 10

_TABLES = (
    "account", "feed", "cursor", "seen_lasting", "stay", "passage", "coverage", "outbox", "destination", "position",
    "refusal", "receipt", "skip", "dead_letter", "replica", "lease", "command",
)  # fmt: skip

_STORE_BYTES = (
    "SELECT coalesce(sum(pg_total_relation_size(t.id)), 0)::bigint FROM ("
    "SELECT to_regclass(name)::oid AS id FROM unnest(%b::text[]) AS own (name) UNION ALL"
    " SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = 'seen'::regclass) AS t"
)

_FEEDS = (
    "SELECT a.name, f.source, f.new, f.duplicate, f.undecodable FROM feed f JOIN account a ON a.id = f.account_id"
    " ORDER BY a.name, f.source"
)

_UNDECODABLE = (
    "SELECT a.name, coalesce(d.count, 0) FROM account a LEFT JOIN (SELECT account_id, count(*) AS count"
    " FROM dead_letter WHERE destination_id IS NULL GROUP BY account_id) AS d ON d.account_id = a.id"
)

# Where nothing waits for an account, nothing is looked up in its outbox.
_DESTINATIONS = (
    "SELECT d.id, d.name, coalesce(sum(a.head - p.origin), 0)::bigint, coalesce(sum(a.head - p.position), 0)::bigint,"
    " coalesce(sum(p.delivered), 0)::bigint, coalesce(sum(p.not_selected), 0)::bigint,"
    " coalesce(sum(p.skipped), 0)::bigint, min(oldest.observed_ms),"
    " (SELECT count(*) FROM dead_letter l WHERE l.destination_id = d.id) FROM destination d"
    " LEFT JOIN position p ON p.destination_id = d.id LEFT JOIN account a ON a.id = p.account_id"
    " LEFT JOIN LATERAL (SELECT o.observed_ms FROM outbox o WHERE p.position < a.head"
    " AND o.account_id = p.account_id AND o.first_offset <= p.position ORDER BY o.first_offset DESC LIMIT 1)"
    " AS oldest ON true WHERE d.released_secs IS NULL GROUP BY d.id, d.name ORDER BY d.name"
)

_REFUSALS = "SELECT destination_id, reason, sum(count)::bigint FROM refusal GROUP BY destination_id, reason"

# The accounts of one occasion are one range.
_SKIPS = (
    "SELECT destination_id, from_ms, at_ms, events FROM ("
    "SELECT destination_id, min(from_ms) AS from_ms, at_ms, sum(end_offset - start_offset)::bigint AS events,"
    " row_number() OVER (PARTITION BY destination_id ORDER BY at_ms DESC) AS number"
    " FROM skip GROUP BY destination_id, at_ms) AS occasion WHERE number <= %s ORDER BY at_ms DESC"
)


def snapshot(connection: psycopg.Connection[Any], limit_bytes: int, backlog: Backlog) -> StoreSnapshot:
    """Read everything as of one moment. What is free on the server's disk it does not tell."""
    with one_moment(connection):
        return StoreSnapshot(
            feeds=[
                FeedFigures(account, source, new + duplicate + undecodable, new, duplicate, undecodable)
                for account, source, new, duplicate, undecodable in connection.execute(_FEEDS)
            ],
            destinations=_destinations(connection),
            undecodable_letters=dict(connection.execute(_UNDECODABLE).fetchall()),
            outbox_bytes=backlog.total_bytes(connection),
            outbox_limit_bytes=limit_bytes,
            store_bytes=store_bytes(connection),
            disk_free_bytes=None,
        )


def backlog_bytes(connection: psycopg.Connection[Any], backlog: Backlog) -> int:
    """Return the stored bytes that some destination has not received."""
    with one_moment(connection):
        return backlog.total_bytes(connection)


def store_bytes(connection: psycopg.Connection[Any]) -> int:
    """Return the size of our tables and their indexes."""
    row = connection.execute(_STORE_BYTES, (list(_TABLES),)).fetchone()
    return row[0] if row else 0


def _destinations(connection: psycopg.Connection[Any]) -> list[DestinationFigures]:
    refused: dict[int, dict[str, int]] = {}
    for destination_id, reason, count in connection.execute(_REFUSALS):
        refused.setdefault(destination_id, {})[reason] = count
    skipped_ranges: dict[int, list[SkippedRange]] = {}
    for destination_id, from_ms, at_ms, events in connection.execute(_SKIPS, (_MOST_SKIPPED_RANGES,)):
        one = SkippedRange(_time(from_ms), _time(at_ms + 1), events)
        skipped_ranges.setdefault(destination_id, []).append(one)
    return [
        DestinationFigures(
            name,
            offered,
            delivered,
            refused.get(destination_id, {}),
            not_selected,
            skipped,
            waiting,
            None if oldest_ms is None else _time(oldest_ms),
            letters,
            skipped_ranges.get(destination_id, []),
        )
        for destination_id, name, offered, waiting, delivered, not_selected, skipped, oldest_ms, letters
        in connection.execute(_DESTINATIONS).fetchall()
    ]  # fmt: skip


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
