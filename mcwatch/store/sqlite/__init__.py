"""The store in one SQLite file: WAL, full durability, one writer thread, one reader thread."""

from mcwatch.store.sqlite.offline import OfflineStore
from mcwatch.store.sqlite.options import StoreOptions
from mcwatch.store.sqlite.store import SqliteStore

__all__ = ["OfflineStore", "SqliteStore", "StoreOptions"]
