"""Entries that are in a processing queue now."""

from collections.abc import Collection, Mapping
from typing import Any

import psycopg

_ABSENT = (
    "SELECT s.key, s.body FROM stay s WHERE s.feed_id = %s AND s.queue = %s"
    " AND NOT EXISTS (SELECT FROM unnest(%b::bytea[]) AS present (key) WHERE present.key = s.key)"
)

_KEEP = (
    "INSERT INTO stay (feed_id, queue, key, body)"
    " SELECT %s, %s, key, body FROM unnest(%b::bytea[], %b::bytea[]) AS given (key, body) ORDER BY key"
    " ON CONFLICT (feed_id, queue, key) DO UPDATE SET body = excluded.body"
)


def among(connection: psycopg.Connection[Any], feed_id: int, queue: str, keys: Collection[bytes]) -> dict[bytes, bytes]:
    """Return the entries among ``keys``."""
    if not keys:
        return {}
    rows = connection.execute(
        "SELECT key, body FROM stay WHERE feed_id = %s AND queue = %s AND key = ANY(%b::bytea[])",
        (feed_id, queue, list(keys)),
        binary=True,
    )
    return dict(rows.fetchall())


def absent(
    connection: psycopg.Connection[Any], feed_id: int, queue: str, present: Collection[bytes]
) -> dict[bytes, bytes]:
    """Return the entries that are not in ``present``."""
    return dict(connection.execute(_ABSENT, (feed_id, queue, list(present)), binary=True).fetchall())


def keep(connection: psycopg.Connection[Any], feed_id: int, queue: str, stays: Mapping[bytes, bytes]) -> None:
    """Insert or replace entries."""
    if stays:
        connection.execute(_KEEP, (feed_id, queue, list(stays), list(stays.values())))


def drop(connection: psycopg.Connection[Any], feed_id: int, queue: str, keys: Collection[bytes]) -> None:
    """Remove entries."""
    if keys:
        connection.execute(
            "DELETE FROM stay WHERE feed_id = %s AND queue = %s AND key = ANY(%b::bytea[])",
            (feed_id, queue, list(keys)),
        )
