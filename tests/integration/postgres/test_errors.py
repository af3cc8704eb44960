"""What PostgreSQL's errors mean."""

import psycopg
import pytest
from psycopg import errors

from mcwatch.domain.errors import McwatchError, StoreCorrupt, StoreUnavailable
from mcwatch.store.postgres.errors import (
    StoreContended,
    StoreFull,
    StoreReadOnly,
    StoreRefused,
    translate,
)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (errors.DiskFull("x"), StoreFull),
        (errors.ReadOnlySqlTransaction("x"), StoreReadOnly),
        (errors.InvalidPassword("x"), StoreRefused),
        (errors.InvalidAuthorizationSpecification("x"), StoreRefused),
        (errors.InvalidCatalogName("x"), StoreRefused),
        (errors.InsufficientPrivilege("x"), StoreRefused),
        (errors.DeadlockDetected("x"), StoreContended),
        (errors.SerializationFailure("x"), StoreContended),
        (errors.LockNotAvailable("x"), StoreContended),
        (errors.AdminShutdown("x"), StoreUnavailable),
        (errors.CannotConnectNow("x"), StoreUnavailable),
        (errors.QueryCanceled("x"), StoreUnavailable),
        (errors.TooManyConnections("x"), StoreUnavailable),
        (errors.OutOfMemory("x"), StoreUnavailable),
        (errors.IdleInTransactionSessionTimeout("x"), StoreUnavailable),
        (errors.ConnectionTimeout("x"), StoreUnavailable),
        (psycopg.OperationalError("server closed the connection unexpectedly"), StoreUnavailable),
        (psycopg.InterfaceError("the connection is closed"), StoreUnavailable),
        (errors.DataCorrupted("x"), StoreCorrupt),
        (errors.IndexCorrupted("x"), StoreCorrupt),
        (errors.UndefinedTable("x"), McwatchError),
        (errors.UniqueViolation("x"), McwatchError),
        (errors.NumericValueOutOfRange("x"), McwatchError),
        (errors.InFailedSqlTransaction("x"), McwatchError),
    ],
)
def test_meaning(error: psycopg.Error, meaning: type[McwatchError]) -> None:
    """Each error of the server has one meaning for mcwatch, and all but our own faults say what to do."""
    translated = translate(error, "mcwatch on db:5432 as writer")

    assert meaning is type(translated)
    assert bool(translated.remedy) == (meaning is not McwatchError)


@pytest.mark.parametrize(
    "error",
    [
        errors.TooManyConnections("x"),
        psycopg.OperationalError('connection failed: FATAL:  too many connections for role "mcwatch"'),
        psycopg.OperationalError('connection failed: FATAL:  too many connections for database "mcwatch"'),
        psycopg.OperationalError("connection failed: FATAL:  sorry, too many clients already"),
        psycopg.OperationalError("connection failed: FATAL:  remaining connection slots are reserved"),
    ],
)
def test_no_connection_left(error: psycopg.Error) -> None:
    """Whichever limit is reached, and however it is told, the remedy names the limits and what a replica needs."""
    remedy = translate(error, "the store").remedy

    assert "max_connections" in remedy
    assert "CONNECTION LIMIT of the role or the database" in remedy
    assert "7 connections per replica" in remedy


def test_defect_shows_no_value() -> None:
    """A refused statement is named by its class and code, for its words may quote a row."""
    translated = translate(errors.UniqueViolation("Key (subject)=(Quarter) already exists"), "the store")

    assert "UniqueViolation, 23505" in str(translated)
    assert "Quarter" not in str(translated)
