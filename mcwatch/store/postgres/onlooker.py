"""Looking on at a store that replicas work on: who lives, who holds what, and the log as it grows."""

from datetime import datetime

from mcwatch.domain.leasing import Fleet
from mcwatch.domain.outbox import OutboxRow
from mcwatch.store.postgres import outbox, registry
from mcwatch.store.postgres.fleet import fleet_of
from mcwatch.store.postgres.offline import OfflineStore


class Onlooker(OfflineStore):
    """What can be asked of the database as it is, and as it changes."""

    def fleet(self) -> Fleet:
        """Return all replicas and leases."""
        return self._read(lambda connection: fleet_of(connection, self._options.lapse_secs))

    def heads(self) -> dict[int, int]:
        """Return the offset behind the newest event per account id."""
        return self._read(registry.heads)

    def offset_at(self, account_id: int, moment: datetime) -> int | None:
        """Return the offset of the account's first kept event recorded at ``moment`` or later, None without any."""
        return self._read(lambda connection: outbox.offset_at(connection, account_id, moment))

    def read(self, account_id: int, position: int, max_bytes: int) -> list[OutboxRow]:
        """Return outbox rows from the one that holds ``position``; at least one where there is one."""
        return self._read(lambda connection: outbox.read_rows(connection, account_id, position, max_bytes, ()))
