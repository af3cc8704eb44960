"""The live feed: what was committed, for whoever watches at the moment.

A page is offered to the listeners after its commit, by reference; with nobody listening that is one look at an empty
set. Each listener holds a bounded number of bytes. What does not fit is counted and left out, so that a slow or stopped
reader costs neither time nor memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mcwatch.domain.errors import FailureReason, PermanentError
from mcwatch.domain.page import Feed
from mcwatch.domain.tailing import TailNote, TailRequest, Word, account_of
from mcwatch.interfaces import Store

_HELD_BYTES = 4 * 2**20
"""A burst of some thousand events; a terminal shows that in less than a second."""
_MOST_LISTENERS = 16
_READ_BYTES = 256 * 1024
"""How much of the past is read at once: the store's reader serves deliveries too."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Committed events of an account, native JSON, each ended by LF."""

    account_id: int
    first_offset: int
    lines: bytes


@dataclass(frozen=True, slots=True)
class LeftOut:
    """So many events did not fit."""

    events: int


class Listener:
    """What one watcher has yet to take; for one task."""

    def __init__(self, request: TailRequest, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._pieces: deque[Piece | LeftOut] = deque()
        self._left_out = 0
        self._offered = asyncio.Event()

    def offer(self, feed: Feed, first_offset: int, lines: bytes) -> None:
        """Hold a committed page, or count it where there is no room. The first one always fits."""
        if not self._request.wants_account(feed.account):
            return
        if self._held_bytes and (self._left_out or self._held_bytes + len(lines) > self._max_bytes):
            # Once something is left out, all is until the reader has taken everything: one gap instead of many.
            self._left_out += lines.count(b"\n")
            return
        self._held_bytes += len(lines)
        self._pieces.append(Piece(feed.account_id, first_offset, lines))
        self._offered.set()

    async def take(self) -> Piece | LeftOut:
        """Return what comes next, and wait for it."""
        while True:
            if self._pieces:
                piece = self._pieces.popleft()
                if isinstance(piece, Piece):
                    self._held_bytes -= len(piece.lines)
                    if not self._pieces and self._left_out:
                        self._pieces.append(LeftOut(self._left_out))
                        self._left_out = 0
                return piece
            self._offered.clear()
            await self._offered.wait()


class Tap:
    """Where committed pages are offered to whoever listens."""

    def __init__(self, held_bytes: int = _HELD_BYTES, most_listeners: int = _MOST_LISTENERS) -> None:
        self._held_bytes = held_bytes
        self._most_listeners = most_listeners
        self._listeners: set[Listener] = set()

    def put(self, feed: Feed, first_offset: int, lines: bytes) -> None:
        """Offer the events of a committed page."""
        for listener in self._listeners:
            listener.offer(feed, first_offset, lines)

    @contextmanager
    def listening(self, request: TailRequest) -> Iterator[Listener]:
        """Lend a listener; raises PermanentError when there are too many."""
        if len(self._listeners) >= self._most_listeners:
            raise PermanentError(
                f"{self._most_listeners} terminals watch the events already",
                reason=FailureReason.REFUSED,
                remedy="end one of the other mcwatch tail commands, or read a destination of the type file",
            )
        listener = Listener(request, self._held_bytes)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


class Tail:
    """The stream behind ``mcwatch tail``: a note that it has begun, the past that was asked for, then what comes."""

    def __init__(self, tap: Tap, store: Store) -> None:
        self._tap = tap
        self._store = store

    async def follow(self, request: TailRequest) -> AsyncGenerator[bytes, None]:
        """Yield whole lines, events and notes, without an end; raises PermanentError when too many listen."""
        with self._tap.listening(request) as listener:
            yield TailNote(note=Word.LISTENING).line()
            # A page that is committed while the past is read is offered too: what lies before these is not shown again.
            heads: dict[int, int] = {}
            if request.since is not None:
                heads = dict(self._store.heads())
                for account_id, head in heads.items():
                    async for lines in self._past(request, account_id, head):
                        yield lines
            while True:
                piece = await listener.take()
                if isinstance(piece, LeftOut):
                    yield _left_out(piece.events, request)
                elif piece.first_offset >= heads.get(piece.account_id, 0) and (lines := request.chosen(piece.lines)):
                    yield lines

    async def _past(self, request: TailRequest, account_id: int, head: int) -> AsyncGenerator[bytes, None]:
        """Yield what is kept of an account's events since the moment asked for, up to ``head``, in order."""
        if request.since is None:
            return
        position = await self._store.offset_at(account_id, request.since)
        while position is not None and position < head:
            rows = await self._store.read(account_id, position, _READ_BYTES)
            if not rows or not request.wants_account(account_of((rows[0].lines or b"").partition(b"\n")[0])):
                return
            for row in rows:
                if row.first_offset < head and (lines := request.chosen(row.lines or b"")):
                    yield lines
            position = rows[-1].first_offset + rows[-1].count


def _left_out(events: int, request: TailRequest) -> bytes:
    narrowed = bool(request.kinds or request.sources or request.routes or request.statuses)
    return TailNote(note=Word.LEFT_OUT, events=events, at_most=narrowed).line()
