"""Reading as of one moment, and what time it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg


@contextmanager
def one_moment(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Have all questions answered as of one moment; nothing can be written."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    finally:
        # A connection that broke meanwhile has nothing left to end.
        if not connection.closed:
            connection.execute("ROLLBACK")


def now(connection: psycopg.Connection[Any]) -> datetime:
    """Return the time by the database's clock."""
    (time,) = connection.execute("SELECT clock_timestamp()").fetchone() or (datetime.min.replace(tzinfo=UTC),)
    return time
