"""Making a connection: how it behaves, what the server must be, and the schema brought up to date."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from mcwatch.domain.errors import ConfigError, StoreCorrupt, StoreUnavailable
from mcwatch.domain.store_url import POSTGRESQL, problem_of
from mcwatch.store.postgres.errors import standby, translate, translated
from mcwatch.store.postgres.options import PostgresOptions

Connection = psycopg.Connection[Any]

_OLDEST_VERSION = 14
_CONNECT_SECS = 5
_TCP: dict[str, int] = {
    "connect_timeout": _CONNECT_SECS,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""So that a cut wire is noticed within seconds; what the URL says of these wins (libpq, section 32.1.2)."""

_MIGRATION_LOCK = 0x6D63_7761_0001
"""``mcwa`` in ASCII and a number: advisory locks are told apart by nothing but a number."""

_MIGRATION_WAIT = "60s"

_FORM = "not a connection URI (postgresql://user:password@host:5432/database?sslmode=…)"
_UNKNOWN_OPTION = re.compile(r'invalid URI query parameter: "(\w+)"')

# A commit that nobody waits for, or that only this server's memory knows, would break the promise. A stronger setting
# than `on` is the operator's.
_SETTINGS = """
SELECT set_config('statement_timeout', %(statement_ms)s, false),
       set_config('lock_timeout', %(lock_ms)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle_ms)s, false),
       set_config('TimeZone', 'UTC', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('jit', 'off', false),
       set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
                  THEN 'on' ELSE current_setting('synchronous_commit') END, false)
"""
_FACTS = """
SELECT pg_is_in_recovery(), current_setting('server_encoding'), current_schema(),
       CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END
"""

_HAS_SCHEMA = """
SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'mcwatch_schema' AND n.nspname = ANY(current_schemas(false))
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the server may take for one statement, and one statement for a lock."""

    statement_secs: float = 10.0
    lock_secs: float = 3.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection, and the history that the server writes: a standby that took over writes another one."""

    connection: Connection
    timeline: str


def place_of(options: PostgresOptions) -> str:
    """Return which database it is, as people know it, without a password. Raises ConfigError."""
    return _place(_parts(options.url()))


def _place(parts: Mapping[str, Any]) -> str:
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    port = parts.get("port") or "5432"
    return f"{parts.get('dbname') or 'the default database'} on {host}:{port} as {parts.get('user') or 'this user'}"


def _parts(url: str) -> dict[str, Any]:
    if not url.startswith(POSTGRESQL):
        raise ConfigError([f"store.url: {_FORM}"])
    # Here too, not only where the configuration is read: the URL may come from a file that has changed since.
    if problem := problem_of(url):
        raise ConfigError([f"store.url: {problem}"])
    try:
        return dict(conninfo_to_dict(url))
    except psycopg.ProgrammingError as error:
        problem = _unknown_option(str(error), url) or _FORM
        # What libpq says of it quotes it, password and all.
        raise ConfigError([f"store.url: {problem}"]) from None


def _unknown_option(words: str, url: str) -> str:
    """Return what to do about an option that libpq does not know, nothing for another fault.

    It is named where it can be nothing but an option: behind a raw ``@``, or after a password among the options, what
    looks like one may be a part of the password.
    """
    found = _UNKNOWN_OPTION.search(words)
    options = url.partition("?")[2]
    if found is None or "@" in options or "password" in options:
        return ""
    return f"the option {found[1]!r} after `?` is unknown; write one of libpq's, such as sslmode=verify-full"


def connect(options: PostgresOptions, limits: Limits = Limits()) -> Opened:
    """Connect and set the session up.

    Raises StoreUnavailable when nobody answers, or a server that cannot be used, and ConfigError for a bad URL.
    """
    url = options.url()
    given = _parts(url)
    place = _place(given)
    defaults = {name: value for name, value in _TCP.items() if name not in given}
    with translated(place):
        connection = psycopg.connect(
            url,
            autocommit=True,
            application_name=f"mcwatch {options.replica_name}",
            client_encoding="UTF8",
            **defaults,  # type: ignore[arg-type]  # the names of libpq's options are not psycopg's own
        )
    try:
        with translated(place):
            return Opened(connection, _set_up(connection, options, limits, place))
    except BaseException:
        connection.close()
        raise


def _set_up(connection: Connection, options: PostgresOptions, limits: Limits, place: str) -> str:
    """Set the session up and refuse a server that cannot be used; return its timeline."""
    major = connection.info.server_version // 10_000
    if major < _OLDEST_VERSION:
        raise StoreUnavailable(
            f"the store ({place}) is PostgreSQL {major}, which is too old",
            remedy=f"upgrade the server to PostgreSQL {_OLDEST_VERSION} or newer",
        )
    given = {
        "statement_ms": _milliseconds(limits.statement_secs),
        "lock_ms": _milliseconds(limits.lock_secs),
        "idle_ms": _milliseconds(options.idle_secs),
    }
    connection.execute(_SETTINGS, given)
    row = connection.execute(_FACTS).fetchone()
    is_standby, encoding, schema, timeline = row or (True, "", "", "")
    if is_standby:
        raise standby(place)
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"the store ({place}) keeps text as {encoding}",
            remedy="make the database with ENCODING 'UTF8' TEMPLATE template0",
        )
    if not schema:
        raise StoreUnavailable(
            f"the store ({place}) has no schema that the user may use",
            remedy="CREATE SCHEMA mcwatch AUTHORIZATION the user, and name it in the user's search_path",
        )
    return str(timeline)


def _milliseconds(secs: float) -> str:
    return str(max(1, round(secs * 1000)))


def migrations() -> list[str]:
    """Return the SQL of every schema step; the n-th leads to version n."""
    folder = resources.files("mcwatch.store.postgres") / "sql"
    return [entry.read_text("utf-8") for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)]


def version_of(connection: Connection) -> int:
    """Return the version of the schema, 0 where there is none."""
    if not has_schema(connection):
        return 0
    found = connection.execute("SELECT version FROM mcwatch_schema").fetchone()
    return int(found[0]) if found else 0


def has_schema(connection: Connection) -> bool:
    """Say whether mcwatch has made tables there; takes no rights."""
    # Not to_regclass: in a transaction that has waited for another's it may still see what was before.
    row = connection.execute(_HAS_SCHEMA).fetchone()
    return bool(row and row[0])


def own_version(connection: Connection, place: str) -> int:
    """Return the version of the schema, 0 where one can be made; raises StoreCorrupt where others' tables stand."""
    version = version_of(connection)
    if version == 0:
        _refuse_strangers(connection, place)
    return version


def migrate(connection: Connection, place: str) -> None:
    """Run the steps the database has not seen, each in a transaction of its own; who comes second waits and finds them.

    Raises StoreCorrupt for a schema that is newer than this program or another program's, which is left as it is, and
    StoreUnavailable.
    """
    steps = migrations()
    with translated(place):
        version = version_of(connection)
        while version < len(steps):
            version = _step(connection, steps, place)
    if version > len(steps):
        raise StoreCorrupt(
            f"the store ({place}) was written by a newer mcwatch (schema {version}, this program knows {len(steps)})",
            remedy="it was left as it is: run the newer mcwatch, or restore a backup from before the upgrade",
        )


def _step(connection: Connection, steps: list[str], place: str) -> int:
    """Do the next step, unless somebody else has done it meanwhile; return the version reached."""
    with connection.transaction():
        connection.execute(f"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '{_MIGRATION_WAIT}'".encode())
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        version = own_version(connection, place)
        if version >= len(steps):
            return version
        try:
            if version == 0:
                connection.execute("CREATE TABLE mcwatch_schema (version bigint NOT NULL)")
                connection.execute("INSERT INTO mcwatch_schema (version) VALUES (0)")
            connection.execute(steps[version].encode())
        except psycopg.errors.InsufficientPrivilege as error:
            refused = translate(error, place)
            refused.remedy = "let the user make tables there: GRANT CREATE ON SCHEMA … TO the user of store.url"
            raise refused from error
        connection.execute("UPDATE mcwatch_schema SET version = %s", (version + 1,))
    return version + 1


def _refuse_strangers(connection: Connection, place: str) -> None:
    names = re.findall(r"^CREATE TABLE (\w+)", "\n".join(migrations()), re.MULTILINE)
    rows = connection.execute(
        "SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relname = ANY(%s) ORDER BY relname",
        (names,),
    ).fetchall()
    if rows:
        raise StoreCorrupt(
            f"the store ({place}) has a table {rows[0][0]!r} of another program",
            remedy="it was left as it is: give mcwatch a database of its own in store.url",
        )
