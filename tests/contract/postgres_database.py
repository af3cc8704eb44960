"""The one database that the quick tests of a process share, emptied for each of them."""

import atexit
from contextlib import ExitStack
from functools import cache
from typing import Any

import psycopg

from mcwatch.store.postgres import partitions
from mcwatch.store.postgres.connection import migrate
from mcwatch.store.postgres.seen import DAY_SECS
from tests.fakes.clock import START
from tests.fakes.postgres import database

_EMPTIED = (
    "receipt", "skip", "refusal", "position", "dead_letter", "outbox", "lease", "stay", "cursor", "coverage", "passage",
    "seen_lasting", "seen", "command", "replica", "feed", "account", "destination",
)  # fmt: skip
"""In an order that no foreign key minds."""

_COUNTED = ("account", "feed", "destination", "dead_letter", "command")

# Ten times as quick as TRUNCATE, which makes new files, and as a database of its own.
_EMPTY = "; ".join(
    [*(f"DELETE FROM {table}" for table in _EMPTIED), *(f"ALTER TABLE {table} ALTER id RESTART" for table in _COUNTED)]
)


@cache
def shared_database() -> tuple[str, psycopg.Connection[Any]]:
    """Return the URL of a database with our schema, and a connection to it that is closed with the process."""
    stack = ExitStack()
    atexit.register(stack.close)
    url = stack.enter_context(database())
    connection = stack.enter_context(psycopg.connect(url, autocommit=True, options="-c lock_timeout=10s"))
    migrate(connection, "the tests' database")
    return url, connection


def emptied_database() -> str:
    """Return the URL of that database with nothing in it; whatever was there before is gone.

    Days of fingerprints may be left, none beyond those of a clock that stands at its start.
    """
    url, connection = shared_database()
    ahead = [day for day in partitions.first_seconds(connection) if day > START.timestamp() + 4 * DAY_SECS]
    connection.execute("; ".join([_EMPTY, *(f"DROP TABLE seen_{day}" for day in ahead)]).encode())
    return url
