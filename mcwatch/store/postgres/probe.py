"""Looking at the database before it matters: what server it is, what its schema is, what we may do there."""

from dataclasses import dataclass

import psycopg

from mcwatch.store.postgres.connection import Connection, connect, has_schema, migrations, own_version, place_of
from mcwatch.store.postgres.errors import translated
from mcwatch.store.postgres.options import PostgresOptions

# A partition is made by whoever owns the table that it is a part of, and where it is made takes CREATE.
_RIGHTS = """
SELECT has_schema_privilege(current_schema(), 'CREATE'),
       coalesce((SELECT bool_and(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                             AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
                 FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace
                 AND c.relname IN ('mcwatch_schema', 'account', 'cursor', 'outbox', 'position', 'lease', 'replica',
                                   'command')), true),
       coalesce((SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c
                 WHERE c.oid = to_regclass('seen')), true)
"""
_LIVE = "SELECT count(*) FROM replica WHERE seen_at > clock_timestamp() - make_interval(secs => %s)"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found. ``schema`` is 0 in a database where mcwatch has never run; ``newest`` is what we would make it.

    ``lacking`` names the rights that are missing, ``live_replicas`` are those heard of lately. Without the right to
    read, both are 0.
    """

    place: str
    server: str
    schema: int
    newest: int
    lacking: tuple[str, ...]
    live_replicas: int


def probe(options: PostgresOptions) -> Finding:
    """Look, and change nothing.

    Raises StoreUnavailable where no server can be used, StoreCorrupt where another program's tables stand, and
    ConfigError for a bad URL.
    """
    place = place_of(options)
    connection = connect(options).connection
    try:
        with translated(place):
            return _finding(connection, place, options)
    finally:
        connection.close()


def _finding(connection: Connection, place: str, options: PostgresOptions) -> Finding:
    may_create, may_write, is_owner = connection.execute(_RIGHTS).fetchone() or (False, False, False)
    # Nobody is sent to take over tables that are another program's: whose they are is told before the rights.
    schema = own_version(connection, place) if may_write or not has_schema(connection) else 0
    lacking = [
        name
        for name, is_there in (
            ("CREATE on the schema", may_create),
            ("SELECT, INSERT, UPDATE and DELETE on all tables", may_write),
            ("ownership of the table seen", is_owner),
        )
        if not is_there
    ]
    return Finding(
        place=place,
        server=_server(connection.info),
        schema=schema,
        newest=len(migrations()),
        lacking=tuple(lacking),
        live_replicas=_live_replicas(connection, options) if schema else 0,
    )


def _live_replicas(connection: Connection, options: PostgresOptions) -> int:
    row = connection.execute(_LIVE, (options.lapse_secs,)).fetchone()
    return int(row[0]) if row else 0


def _server(info: psycopg.ConnectionInfo) -> str:
    """Return the version as people write it, without what a distribution adds."""
    return (info.parameter_status("server_version") or "").partition(" ")[0]
