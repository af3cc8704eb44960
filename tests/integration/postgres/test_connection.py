"""Opening: which server and which database will do, the schema, and what an error shows."""

import asyncio
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from mcwatch.domain.errors import ConfigError, McwatchError, StoreCorrupt, StoreUnavailable
from mcwatch.store.postgres import PostgresOptions
from mcwatch.store.postgres.connection import connect, migrate, migrations, version_of
from mcwatch.store.postgres.errors import StoreReadOnly, StoreRefused
from mcwatch.store.postgres.probe import probe
from tests.fakes.postgres import database, database_url, shared_url
from tests.integration.postgres.replicas import replica, scalar

_PASSWORD = "hunter2-geheim"


def _options(url: str) -> PostgresOptions:
    return PostgresOptions(url=lambda: url, replica_name="one")


@pytest.fixture
def empty() -> Iterator[str]:
    """Give an empty database."""
    with database() as url:
        yield url


@contextmanager
def _made(statement: str) -> Iterator[str]:
    """Make a database by a statement of one's own; drop it at the end."""
    name = f"mcwatch_test_{uuid4().hex}"
    with psycopg.connect(shared_url(), autocommit=True) as home:
        home.execute(sql.SQL(statement).format(sql.Identifier(name)))
        try:
            yield database_url(shared_url(), name)
        finally:
            home.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def test_three_that_open_at_once_make_the_schema_once(empty: str) -> None:
    """Replicas that start together on an empty database find one schema, made once."""

    async def start(name: str) -> None:
        async with replica(empty, name):
            pass

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(start(name))

    assert len(migrations()) == scalar(empty, "SELECT version FROM mcwatch_schema")
    assert 1 == scalar(empty, "SELECT count(*) FROM mcwatch_schema")


def test_newer_schema_is_refused_and_left_alone(empty: str) -> None:
    """A schema of a newer program is not touched."""
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("CREATE TABLE mcwatch_schema (version bigint)")
        connection.execute("INSERT INTO mcwatch_schema VALUES (99)")

        with pytest.raises(StoreCorrupt, match="newer mcwatch"):
            migrate(connection, "the database")

        assert 99 == version_of(connection)
    assert 1 == scalar(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")


def test_tables_of_another_program_are_left_alone(empty: str) -> None:
    """A database in which a table has one of our names, but no version of ours, is refused as it is."""
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("CREATE TABLE account (owner text)")

        with pytest.raises(StoreCorrupt, match="'account' of another program"):
            migrate(connection, "the database")

    assert 1 == scalar(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")


def test_a_look_at_tables_of_another_program(empty: str) -> None:
    """A look at such a database says the same as a start, also where its tables may not be read."""
    role = f"reader_{uuid4().hex}"
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("CREATE TABLE account (owner text)")
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        try:
            for url in (empty, empty.replace("postgres@", f"{role}@")):
                with pytest.raises(StoreCorrupt, match="'account' of another program") as caught:
                    probe(_options(url))
                assert "a database of its own" in caught.value.remedy
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_session_is_durable_and_cannot_hang(empty: str) -> None:
    """Each session commits durably, whatever the server's default, and ends statements, waits and idle transactions."""
    connection = connect(_options(empty)).connection
    with connection:
        shown = {
            name: connection.execute(f"SHOW {name}".encode()).fetchall()[0][0]
            for name in (
                "synchronous_commit", "TimeZone", "application_name", "statement_timeout", "lock_timeout",
                "idle_in_transaction_session_timeout", "client_encoding", "transaction_isolation",
            )
        }  # fmt: skip

    assert {
        "synchronous_commit": "on",
        "TimeZone": "UTC",
        "application_name": "mcwatch one",
        "statement_timeout": "10s",
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "6s",
        "client_encoding": "UTF8",
        "transaction_isolation": "read committed",
    } == shown


def test_database_of_another_encoding_is_refused() -> None:
    """A database that cannot keep every character is refused with how to make one that can."""
    with (
        _made("CREATE DATABASE {} ENCODING 'SQL_ASCII' TEMPLATE template0") as url,
        pytest.raises(StoreUnavailable, match="SQL_ASCII") as caught,
    ):
        connect(_options(url))

    assert "ENCODING 'UTF8'" in caught.value.remedy


async def test_user_who_may_make_no_tables_is_told_what_to_grant(empty: str) -> None:
    """Without the right to make tables the remedy names the grant."""
    role = f"reader_{uuid4().hex}"
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        try:
            with pytest.raises(StoreRefused, match="permission denied") as caught:
                async with replica(empty.replace("postgres@", f"{role}@")):
                    pass
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    assert "GRANT CREATE ON SCHEMA" in caught.value.remedy


def test_database_set_to_read_only_is_no_place_for_a_schema(empty: str) -> None:
    """A server that takes no writes is named as such."""
    with (
        psycopg.connect(empty, autocommit=True, options="-c default_transaction_read_only=on") as connection,
        pytest.raises(StoreReadOnly, match="takes no writes"),
    ):
        migrate(connection, "the database")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://mcwatch:{}@127.0.0.1:1/mcwatch",
        "postgresql://mcwatch:{}@127.0.0.1:1/mcwatch?sslmode=sideways",
        "postgresql://mcwatch:{}@127.0.0.1:port/mcwatch",
        "postgresql://mcwatch:{}@127.0.0.1:1/mcwatch?no_such_option=1",
        "postgresql://mcwatch:{}@[::1/mcwatch",
        "host=127.0.0.1 password={} port=1",
        "mysql://mcwatch:{}@127.0.0.1/mcwatch",
        "postgresql://127.0.0.1:1/mcwatch?password={}",
    ],
)
def test_no_error_shows_the_password(url: str) -> None:
    """Whatever is wrong with a URL, neither the error nor its traceback holds the password."""
    options = _options(url.format(_PASSWORD))

    with pytest.raises(McwatchError) as caught:
        connect(options)

    shown = "".join(traceback.format_exception(caught.value)) + caught.value.remedy + repr(options)
    assert _PASSWORD not in shown


def test_bad_url_is_a_matter_of_the_configuration() -> None:
    """What cannot be a connection URI is a ConfigError that names the key and the form."""
    with pytest.raises(ConfigError, match=r"store\.url.*postgresql://"):
        connect(_options("postgresql://[::1/x"))


@pytest.mark.parametrize(
    "password",
    ["Xk9/zQ7", "Xk9@zQ7", "Xk9?zQ7", "Xk9#zQ7", "Xk9%zQ7", "1/zQ7@Xk9", "Xk9:1/zQ7"],
)
def test_password_that_falls_apart_is_refused_unseen(password: str) -> None:
    """What libpq would take in part for a host, a port or a database is told without any of it."""
    options = _options(f"postgresql://writer:{password}@127.0.0.1:1/mcwatch")

    with pytest.raises(ConfigError, match=r"store\.url: .*@ as %40") as caught:
        connect(options)

    shown = "".join(traceback.format_exception(caught.value))
    assert not [part for part in ("Xk9", "zQ7") if part in shown]


def test_unknown_option_of_the_url_is_named() -> None:
    """An option that libpq does not know is named, without anything else of the URL."""
    with pytest.raises(ConfigError, match=r"store\.url: the option 'sslmod'") as caught:
        connect(_options("postgresql://writer:Xk9@db.example:1/mcwatch?application_name=zQ7&sslmod=require"))

    assert not [part for part in ("Xk9", "db.example", "zQ7", "require") if part in str(caught.value)]


@pytest.mark.parametrize(
    "rest", ["db.example/mcwatch?password=a&Xk9=b", "db.example/mcwatch?user=writer@a&Xk9=b", "db.example?Xk9"]
)
def test_what_may_be_a_part_of_a_password_is_no_option(rest: str) -> None:
    """Where a password may have fallen apart into options nothing of it is named."""
    with pytest.raises(ConfigError, match="not a connection URI") as caught:
        connect(_options(f"postgresql://{rest}"))

    assert "Xk9" not in str(caught.value)


def test_error_names_the_server_the_database_and_the_user() -> None:
    """Who cannot be reached is named as people know it, with a remedy."""
    with pytest.raises(StoreUnavailable, match=r"mcwatch on 127\.0\.0\.1:1 as writer") as caught:
        connect(_options("postgresql://writer:x@127.0.0.1:1/mcwatch"))

    assert "store.url" in caught.value.remedy
    assert "a running mcwatch goes on by itself" in caught.value.remedy


def test_unknown_database_is_refused_for_good(empty: str) -> None:
    """A database that does not exist is no outage to wait for."""
    with pytest.raises(StoreRefused, match="does not exist"):
        connect(_options(empty + "x"))
