"""Following the log of a shared store."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from mcwatch.app.tailing import LogTail
from mcwatch.domain.leasing import Fleet, Lease, Replica
from mcwatch.domain.outbox import OutboxRow
from mcwatch.domain.tailing import TailNote, TailRequest
from tests.fakes.clock import START

NAMES = {1: "acme", 2: "beta"}


def _event(account: str, number: int, kind: str = "message.seen") -> bytes:
    event = {"kind": kind, "account": account, "source": "message_finder", "message": {"n": number}}
    return msgspec.json.encode(event) + b"\n"


class _Log:
    """Pages of accounts; what replicas write comes by :meth:`append`."""

    def __init__(self) -> None:
        self.rows: dict[int, list[OutboxRow]] = {}
        self.reads = 0
        self.is_live = True

    def append(self, account_id: int, *kinds: str) -> None:
        """Commit a page with an event of each kind."""
        rows = self.rows.setdefault(account_id, [])
        first = self.heads()[account_id]
        lines = b"".join(_event(NAMES[account_id], first + at, kind) for at, kind in enumerate(kinds))
        rows.append(OutboxRow(first, len(kinds), START, lines))

    def fleet(self) -> Fleet:
        replica = Replica(UUID(int=1), "a", "1", START, 0.0, self.is_live, frozenset(NAMES))
        return Fleet([replica], [Lease(key, NAMES[key], replica.id, 1, 1.0) for key in self.rows])

    def heads(self) -> Mapping[int, int]:
        return {key: rows[-1].first_offset + rows[-1].count if rows else 0 for key, rows in self.rows.items()}

    def offset_at(self, account_id: int, moment: datetime) -> int | None:
        rows = self.rows[account_id]
        return rows[0].first_offset if rows and moment <= START else None

    def read(self, account_id: int, position: int, max_bytes: int) -> Sequence[OutboxRow]:
        self.reads += 1
        return [row for row in self.rows[account_id] if row.first_offset + row.count > position][:2]


def _news(tail: LogTail) -> list[tuple[str, int]]:
    lines = [line for piece in tail.news() for line in piece.splitlines()]
    events = [msgspec.json.decode(line) for line in lines]
    return [(event["account"], event["message"]["n"]) for event in events]


def _log() -> _Log:
    log = _Log()
    for account_id in NAMES:
        log.append(account_id, "message.seen", "message.seen")
    return log


def test_what_is_recorded_from_now_on_is_shown_once() -> None:
    """Whoever records it, however many pages have come since the last look."""
    log = _log()
    tail = LogTail(log, TailRequest())
    assert [] == _news(tail)
    for _ in range(3):
        log.append(1, "message.seen")
    log.append(2, "message.seen")
    assert [("acme", 2), ("acme", 3), ("acme", 4), ("beta", 2)] == _news(tail)
    assert [] == _news(tail)


def test_the_past_comes_first_account_by_account() -> None:
    """Where it is asked for; an account that has none is followed from its end."""
    log = _log()
    assert [("acme", 0), ("acme", 1), ("beta", 0), ("beta", 1)] == _news(LogTail(log, TailRequest(since=START)))
    assert [] == _news(LogTail(log, TailRequest(since=datetime.max.replace(tzinfo=START.tzinfo))))


def test_an_account_that_comes_later_is_shown_from_its_first_event() -> None:
    """With its name, which the leases have."""
    log = _Log()
    tail = LogTail(log, TailRequest(accounts=["b*"]))
    assert [] == _news(tail)
    log.rows[2] = []
    log.append(2, "message.seen")
    assert [("beta", 0)] == _news(tail)


def test_filters_hold_and_other_accounts_are_not_read() -> None:
    """As in a running daemon."""
    log = _log()
    tail = LogTail(log, TailRequest(accounts=["acme"], kinds=["queue.*"]))
    log.append(1, "message.seen", "queue.left")
    log.append(2, "queue.left")
    assert [("acme", 3)] == _news(tail)
    assert 1 == log.reads
    log.append(2, "queue.left")
    assert [] == _news(tail)
    assert 1 == log.reads


def test_what_expired_unseen_is_said() -> None:
    """A stopped terminal does not keep the log from being cleared."""
    log = _log()
    tail = LogTail(log, TailRequest())
    for _ in range(3):
        log.append(1, "message.seen")
    del log.rows[1][:3]
    note, event = list(tail.news())
    told = TailNote.read(note)
    assert told is not None
    assert (2, True) == (told.events, told.at_most)
    assert b'"n":4' in event
    log.append(1, "message.seen")
    head = log.rows[1].pop()
    log.rows[1] = [OutboxRow(head.first_offset + head.count, 0, START, b"")]
    [told] = [TailNote.read(line) for line in tail.news()]
    assert told is not None
    assert 1 == told.events


def test_it_knows_when_nobody_writes_any_more() -> None:
    """When no replica lives."""
    log = _log()
    tail = LogTail(log, TailRequest())
    assert tail.lives()
    log.is_live = False
    assert not tail.lives()
