"""What PostgreSQL's errors mean for mcwatch.

Of the server's own words only the first line of a message is shown; its details quote rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from mcwatch.domain.errors import McwatchError, StoreCorrupt, StoreUnavailable

_MOST_CHARACTERS = 300

_CONTENDED = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)
_DAMAGED = (errors.DataCorrupted, errors.IndexCorrupted)
_REFUSED = (
    errors.InvalidAuthorizationSpecification,
    errors.InvalidPassword,
    errors.InvalidCatalogName,
    errors.InsufficientPrivilege,
)
_STATES = (*_CONTENDED, *_REFUSED, errors.ReadOnlySqlTransaction, errors.DiskFull)
_OUR_FAULT = (
    psycopg.ProgrammingError,
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.NotSupportedError,
    psycopg.InternalError,
)

# While a connection is made libpq hands over the server's words without their code.
_REFUSING_WORDS = (
    "authentication failed", "no password supplied", "no pg_hba.conf entry", "permission denied",
    "does not exist", "is not permitted to log in", "rejects connection",
)  # fmt: skip
_CROWDED_WORDS = ("too many clients", "too many connections", "connection slots")
_TLS_WORDS = ("SSL", "certificate", "TLS")

# A command, or a start, ends at the same error.
_GOES_ON = "a running mcwatch goes on by itself"

CHECK_URL = "check the user, the password and the database in store.url, and what the user may do there"


class StoreFull(StoreUnavailable):
    """No room on the server's disk: nothing was written."""


class StoreReadOnly(StoreUnavailable):
    """The server takes no writes, as a standby does: nothing was written."""


class StoreRefused(StoreUnavailable):
    """The server knows us not, or lets us not: asking again does not help."""


class StoreContended(StoreUnavailable):
    """Somebody else had what was to be written: the same work may succeed right away."""


class OutcomeUnknown(StoreUnavailable):
    """The connection broke while a transaction was committed, and nobody could be asked how it ended."""


def no_room(place: str) -> StoreFull:
    """Return the error for a server without room."""
    return StoreFull(
        f"the disk of the store ({place}) is full",
        remedy=f"make room on the disk of the PostgreSQL server; {_GOES_ON} then",
    )


def standby(place: str) -> StoreReadOnly:
    """Return the error for a server that takes no writes."""
    return StoreReadOnly(
        f"the store ({place}) takes no writes: the server is a standby, or set to be read only",
        remedy="name every server of the cluster in store.url with target_session_attrs=read-write; "
        f"{_GOES_ON} once one of them takes writes",
    )


def translate(error: psycopg.Error, place: str) -> McwatchError:
    """Return the error of our tree for one of psycopg's; ``place`` says which database, without a password."""
    if isinstance(error, _DAMAGED):
        return StoreCorrupt(
            f"the store ({place}) is damaged: {words_of(error)}",
            remedy="see the log of the PostgreSQL server, check its disk, and restore a backup",
        )
    if isinstance(error, _STATES):
        return _state(error, place)
    if isinstance(error, _OUR_FAULT) and not isinstance(error, errors.IdleInTransactionSessionTimeout):
        code = f", {error.sqlstate}" if error.sqlstate else ""
        return McwatchError(
            f"the store refused what it was asked to do ({type(error).__name__}{code}): a defect in mcwatch"
        )
    return _away(error, place)


def _state(error: psycopg.Error, place: str) -> StoreUnavailable:
    """Return what keeps a server that answers from doing what it was asked."""
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return standby(place)
    if isinstance(error, errors.DiskFull):
        return no_room(place)
    if isinstance(error, _REFUSED):
        return StoreRefused(f"the store ({place}) refuses: {words_of(error)}", remedy=CHECK_URL)
    return StoreContended(
        f"the store ({place}) is busy: {words_of(error)}",
        remedy="look in pg_stat_activity for who holds the lock, if this lasts",
    )


def _away(error: psycopg.Error, place: str) -> StoreUnavailable:
    words = words_of(error)
    if isinstance(error, errors.QueryCanceled):
        return StoreUnavailable(
            f"the store ({place}) took too long: {words}",
            remedy="see what the PostgreSQL server is busy with (pg_stat_activity)",
        )
    if isinstance(error, errors.TooManyConnections) or any(word in words for word in _CROWDED_WORDS):
        return StoreUnavailable(
            f"the store ({place}) has no connection left: {words}",
            remedy="raise max_connections of the PostgreSQL server, or the CONNECTION LIMIT of the role or the "
            "database; mcwatch needs 7 connections per replica",
        )
    if error.sqlstate is None and any(word in words for word in _REFUSING_WORDS):
        return StoreRefused(f"the store ({place}) refuses: {words}", remedy=CHECK_URL)
    if error.sqlstate is None and any(word in words for word in _TLS_WORDS):
        return StoreUnavailable(
            f"the store ({place}) cannot be reached over TLS: {words}",
            remedy="check sslmode and sslrootcert in store.url, and the name in the server's certificate",
        )
    return StoreUnavailable(
        f"the store ({place}) cannot be reached: {words}",
        remedy=f"check that the PostgreSQL server runs and that store.url leads to it; {_GOES_ON} then",
    )


def words_of(error: psycopg.Error) -> str:
    """Return what the server or the library said, in one short line."""
    text = error.diag.message_primary or str(error)
    return " ".join(text.split())[:_MOST_CHARACTERS]


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise our errors in place of psycopg's."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, place) from error
