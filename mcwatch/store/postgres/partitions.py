"""The days of fingerprints: made ahead of time, dropped once past.

Several replicas may do this at once; while one is at it the others leave it alone. Whoever cannot get a lock soon gives
up: a page does without a partition, and the next sweep tries again.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import errors, sql

from mcwatch.store.postgres.seen import DAY_SECS

_PARTITIONS_LOCK = 0x6D63_7761_0000_0002
_NAMES = (
    "SELECT c.relname FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'seen'::regclass AND c.relname ~ '^seen_[0-9]+$'"
)

# Making a partition apart and attaching it lets pages go on; PARTITION OF would have them wait.
_MAKE = """
DO $$
DECLARE
  first bigint;
  name text;
BEGIN
  FOREACH first IN ARRAY {days}::bigint[] LOOP
    name := 'seen_' || first;
    IF to_regclass(name) IS NULL THEN
      EXECUTE format('CREATE TABLE %I (LIKE seen INCLUDING ALL)', name);
      EXECUTE format('ALTER TABLE seen ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', name, first, first + {day});
    END IF;
  END LOOP;
END $$
"""


def first_seconds(connection: psycopg.Connection[Any]) -> list[int]:
    """Return the first second of every partition there is, in order."""
    names = [name for (name,) in connection.execute(_NAMES)]
    return sorted(int(name.removeprefix("seen_")) for name in names)


@contextmanager
def _locked(connection: psycopg.Connection[Any], patience_ms: int) -> Iterator[None]:
    """Work in a transaction of its own within the caller's, and undo it when a lock cannot be had in time."""
    row = connection.execute("SELECT current_setting('lock_timeout')").fetchone()
    usual = row[0] if row else "0"
    with suppress(errors.LockNotAvailable), connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{patience_ms}ms",))
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_PARTITIONS_LOCK,))
        yield
        connection.execute("SELECT set_config('lock_timeout', %s, true)", (usual,))


def make(connection: psycopg.Connection[Any], first: int, last: int) -> None:
    """Make what is missing of the days (their first seconds) from one to another."""
    wanted = range(first, last + 1, DAY_SECS)
    missing = sorted(set(wanted) - set(first_seconds(connection)))
    if missing:
        with _locked(connection, 2_000):
            days = sql.SQL("ARRAY[{}]").format(sql.SQL(",").join(sql.Literal(day) for day in missing))
            connection.execute(sql.SQL(_MAKE).format(days=days, day=sql.Literal(DAY_SECS)))


def drop(connection: psycopg.Connection[Any], before: int) -> None:
    """Remove the days that ended at a second or earlier, for good."""
    if not any(day + DAY_SECS <= before for day in first_seconds(connection)):
        return
    # Pages wait from the moment this waits: rather once more at the next sweep than long.
    with _locked(connection, 500):
        past = [day for day in first_seconds(connection) if day + DAY_SECS <= before]
        if past:
            names = sql.SQL(", ").join(sql.Identifier(f"seen_{day}") for day in past)
            connection.execute(sql.SQL("DROP TABLE {}").format(names))
