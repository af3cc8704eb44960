"""What PostgreSQL holds in the end: every account's log and how far the destinations have come in it."""

import json
from collections import Counter
from dataclasses import dataclass, field

import psycopg
import zstandard

from mcwatch.store.postgres.connection import connect, migrate
from mcwatch.store.postgres.options import PostgresOptions


@dataclass
class Log:
    """An account's events as recorded; ``head`` is where the next one goes, ``holes`` what does not add up."""

    head: int
    lines: list[bytes] = field(default_factory=list)
    holes: list[str] = field(default_factory=list)

    @property
    def event_ids(self) -> list[str]:
        """The ids of the events in their order."""
        return [json.loads(line)["event_id"] for line in self.lines]


def make_schema(url: str) -> None:
    """Make the tables in an empty database, as the first replica would."""
    connection = connect(PostgresOptions(lambda: url, "nobody")).connection
    migrate(connection, "the test's database")
    connection.close()


def logs(url: str) -> dict[str, Log]:
    """Return the outbox of every account."""
    unpack = zstandard.ZstdDecompressor()
    with psycopg.connect(url) as connection:
        found = {name: Log(head) for name, head in connection.execute("SELECT name, head FROM account").fetchall()}
        rows = connection.execute(
            "SELECT name, first_offset, count, body FROM outbox JOIN account ON account.id = account_id"
            " ORDER BY account_id, first_offset"
        )
        for name, first_offset, count, body in rows:
            log, lines = found[name], unpack.decompress(body).split(b"\n")[:-1]
            if (first_offset, count) != (len(log.lines), len(lines)):
                log.holes.append(f"{name}: {len(lines)} events at {len(log.lines)} say {count} at {first_offset}")
            log.lines += lines
    return found


def behind(url: str) -> int:
    """Return how many positions have not reached the head of their account."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM position JOIN account ON account.id = account_id WHERE position <> head"
        ).fetchone()
    assert row is not None
    count: int = row[0]
    return count


def assert_sound(logs: dict[str, Log]) -> None:
    """Check that no account's log has a hole, and that no event was recorded twice."""
    assert [] == [hole for log in logs.values() for hole in log.holes]
    assert {} == {name: (log.head, len(log.lines)) for name, log in logs.items() if log.head != len(log.lines)}
    times = Counter(event_id for log in logs.values() for event_id in log.event_ids)
    assert [] == [event_id for event_id, count in times.items() if count > 1], "events were recorded twice"
