"""Following the log of the shared store, whichever replica writes it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from mcwatch.domain.leasing import Fleet
from mcwatch.domain.outbox import OutboxRow
from mcwatch.domain.tailing import TailNote, TailRequest, Word

_READ_BYTES = 256 * 1024
"""How much is read at once: the server has deliveries to serve too."""


class GrowingLog(Protocol):
    """The log of all accounts, and who works on it."""

    def fleet(self) -> Fleet:
        """Return all replicas and leases."""

    def heads(self) -> Mapping[int, int]:
        """Return the offset behind the newest event per account id."""

    def offset_at(self, account_id: int, moment: datetime) -> int | None:
        """Return the offset of the account's first kept event recorded at ``moment`` or later, None without any."""

    def read(self, account_id: int, position: int, max_bytes: int) -> Sequence[OutboxRow]:
        """Return rows from the one that holds ``position``, or the oldest kept behind it; at least one if there is."""


class LogTail:
    """What is recorded from now on, or from a moment on, account by account. Nothing is held: a reader sets the pace.

    Raises whatever reading the log raises.
    """

    def __init__(self, log: GrowingLog, request: TailRequest) -> None:
        self._log = log
        self._request = request
        self._names: dict[int, str] = {}
        self._positions: dict[int, int] = {}
        for account_id, head in log.heads().items():
            start = None if request.since is None else log.offset_at(account_id, request.since)
            self._positions[account_id] = head if start is None else start

    def lives(self) -> bool:
        """Tell whether any replica lives, who may write."""
        return any(one.is_live for one in self._log.fleet().replicas)

    def news(self) -> Iterator[bytes]:
        """Yield whole lines, events and notes of what expired unseen, up to where the log ends now."""
        heads = self._log.heads()
        if heads.keys() - self._names.keys():
            self._names = {lease.account_id: lease.account for lease in self._log.fleet().leases}
        for account_id, head in heads.items():
            # An account that is new to the log is told from its first event on.
            position = self._positions.setdefault(account_id, 0)
            name = self._names.get(account_id)
            if position < head and name is not None:
                if self._request.wants_account(name):
                    yield from self._of_account(account_id, position, head)
                self._positions[account_id] = max(head, self._positions[account_id])

    def _of_account(self, account_id: int, position: int, head: int) -> Iterator[bytes]:
        while position < head:
            rows = self._log.read(account_id, position, _READ_BYTES)
            gone = (rows[0].first_offset if rows else head) - position
            if gone > 0:
                yield TailNote(note=Word.LEFT_OUT, events=gone, at_most=True).line()
            for row in rows:
                if lines := self._request.chosen(row.lines or b""):
                    yield lines
            position = rows[-1].first_offset + rows[-1].count if rows else head
            self._positions[account_id] = position
