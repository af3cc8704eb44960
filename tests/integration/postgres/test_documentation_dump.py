"""docs/SCALING.md: a dump made while replicas may write is whole, and fills an empty database with what was there."""

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from mcwatch.store.postgres.connection import connect, migrate, place_of
from mcwatch.store.postgres.options import PostgresOptions
from tests.documented import pages
from tests.fakes.postgres import PostgresServer, _programs, database

_PAGE = "docs/SCALING.md"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of the newest version that there is."""
    with PostgresServer() as running:
        yield running


def _migrated(url: str) -> None:
    """Bring the tables up to date, as a replica does at its start."""
    options = PostgresOptions(lambda: url, "test")
    connection = connect(options).connection
    migrate(connection, place_of(options))
    connection.close()


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    """A database with the tables of this version, an account, and a partition with a row."""
    with database(server.url()) as found:
        _migrated(found)
        with psycopg.connect(found) as connection:
            connection.execute("CREATE TABLE seen_0 PARTITION OF seen FOR VALUES FROM (0) TO (86400)")
            connection.execute("INSERT INTO account (name, head) VALUES ('acme', 1)")
            connection.execute("INSERT INTO seen (feed_id, second, marks, chains) VALUES (1, 7, '\\x01', '\\x02')")
        yield found


def _run(command: str, url: str, directory: Path) -> None:
    """Run a command as the page shows it; the service that it names is the database given."""
    to = urlsplit(url)
    (directory / "services").write_text(
        f"[mcwatch]\nhost={to.hostname}\nport={to.port}\nuser={to.username}\ndbname={to.path[1:]}\n", "utf-8"
    )
    program, *arguments = shlex.split(command)
    done = subprocess.run(
        [_programs() / program, *arguments],
        cwd=directory,
        env={"PGSERVICEFILE": str(directory / "services")},
        capture_output=True,
        text=True,
    )
    assert (0, "") == (done.returncode, done.stderr)


def _rows(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT name, head, second, marks, chains, version FROM account, seen, mcwatch_schema"
        ).fetchall()


def test_a_dump_fills_an_empty_database(server: PostgresServer, url: str, tmp_path: Path) -> None:
    """After the commands of the page the database holds what it held when it was dumped, and serves this version."""
    [dump, restore] = [line.text for line in pages.commands(_PAGE) if line.text.startswith("pg_")]
    [before] = _rows(url)
    _run(dump, url, tmp_path)
    with database(server.url()) as empty:
        _run(restore, empty, tmp_path)
        assert [before] == _rows(empty)
        _migrated(empty)
