"""Finding out whether the server can write."""

import os

import psycopg

from mcwatch.store.postgres.connection import Connection

_TRY_BYTES = 1 << 20


def try_to_write(connection: Connection) -> None:
    """Write what a large page takes into a table that is undone with the transaction.

    Raises psycopg's error for a full disk or a server that takes no writes; random bytes, for they take the room. A
    server that has become a standby is left, so that the next try finds the one that has taken over.
    """
    connection.execute("BEGIN")
    try:
        connection.execute("CREATE TABLE mcwatch_room (body bytea)")
        connection.execute("INSERT INTO mcwatch_room VALUES (%s)", (os.urandom(_TRY_BYTES),))
    except psycopg.errors.ReadOnlySqlTransaction:
        connection.close()
        raise
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")
