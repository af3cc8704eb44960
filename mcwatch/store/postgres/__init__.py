"""The store in a PostgreSQL database that several replicas share: accounts are spread over them by leases."""

from mcwatch.store.postgres.commands import Command, PostgresCommands
from mcwatch.store.postgres.leases import PostgresLeases
from mcwatch.store.postgres.options import PostgresOptions
from mcwatch.store.postgres.store import PostgresStore

__all__ = ["Command", "PostgresCommands", "PostgresLeases", "PostgresOptions", "PostgresStore"]
