"""Reading from positions: the next batch of a destination, across its accounts, each in turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import msgspec

from mcwatch.domain.delivery import Batch
from mcwatch.domain.errors import McwatchError
from mcwatch.domain.outbox import OutboxRow
from mcwatch.domain.selection import Selection
from mcwatch.interfaces import Format, Store
from mcwatch.pipeline.cache import LineCache
from mcwatch.pipeline.inflight import InFlight, Segment


class _Origin(msgspec.Struct, gc=False):
    account: str


_ORIGIN = msgspec.json.Decoder(_Origin)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large a batch may get, in events and in bytes of native JSON, and how long it waits to get there."""

    max_events: int = 500
    max_bytes: int = 2**20
    linger_secs: float = 0.0


class BatchReader:
    """Builds batches for one destination from where its positions stand."""

    def __init__(
        self,
        destination: str,
        store: Store,
        cache: LineCache,
        form: Format,
        selection: Selection,
        limits: BatchLimits,
    ) -> None:
        self._destination = destination
        self._store = store
        self._cache = cache
        self._form = form
        self._selection = selection
        self._limits = limits
        self._turn = 0

    def waiting(self, positions: dict[int, int]) -> int:
        """Return how many events lie behind the positions; an account met for the first time starts at 0."""
        return sum(head - positions.setdefault(account, 0) for account, head in self._store.heads().items())

    async def next(self, positions: dict[int, int], accounts: dict[int, str]) -> InFlight | None:
        """Return the next batch, None when nothing waits. Positions stay as they are."""
        heads = self._store.heads()
        behind = sorted(account for account, head in heads.items() if head > positions.setdefault(account, 0))
        if not behind:
            return None
        self._turn += 1
        start = self._turn % len(behind)
        segments: list[Segment] = []
        events, room = self._limits.max_events, self._limits.max_bytes
        for account in behind[start:] + behind[:start]:
            segment = await self._segment(account, positions[account], events, room, accounts.get(account))
            if segment is None:
                continue
            size = sum(map(len, segment.natives))
            if segments and size > room:
                # One event is always given, but only an empty batch may grow too large by it.
                break
            segments.append(segment)
            events -= len(segment.natives)
            room -= size
            if events <= 0 or room <= 0:
                break
        if not segments:
            # Taken for "nothing waits", it would stall the destination without a word.
            raise McwatchError(f"events wait for {self._destination}, and none can be read from where it stands")
        native = [segment.natives[index] for segment in segments for index in segment.wanted]
        return InFlight(self._destination, segments, Batch(native, self._form.render(native)))

    async def _segment(self, account: int, position: int, events: int, room: int, name: str | None) -> Segment | None:
        rows = await self._store.read(account, position, room, self._cache.natives_of(account))
        lines = self._joined(account, position, rows, events)
        if not lines:
            # What the cache held when it was asked has been pushed out since.
            rows = await self._store.read(account, position, room)
            lines = self._joined(account, position, rows, events)
        if not lines:
            return None
        natives = _within(lines, events, room)
        # An account that is gone from the configuration is known by its events alone; they are still delivered.
        wants = self._selection.wants_account(_ORIGIN.decode(natives[0]).account if name is None else name)
        wanted: Sequence[int] = self._selection.wanted(natives) if wants else ()
        return Segment(account, position, natives, wanted, rows[0].observed_at.timestamp())

    def _joined(self, account: int, position: int, rows: Sequence[OutboxRow], events: int) -> Sequence[bytes]:
        """Return the lines from ``position`` on, without holes, ``events`` of them or a bit more."""
        joined: list[bytes] = []
        for row in rows:
            skip = position + len(joined) - row.first_offset
            lines = self._lines(account, row)
            if skip < 0 or not lines:
                break
            joined += lines[skip:]
            if len(joined) >= events:
                break
        return joined

    def _lines(self, account: int, row: OutboxRow) -> Sequence[bytes]:
        lines = self._cache.get(account, row.first_offset)
        if lines is not None:
            return lines
        if row.lines is None:
            return ()
        lines = row.lines.split(b"\n")[:-1]
        self._cache.put(account, row.first_offset, lines)
        return lines


def _within(lines: Sequence[bytes], events: int, room: int) -> Sequence[bytes]:
    """Return the first lines that keep to both limits, at least one."""
    first = lines[:events]
    if sum(map(len, first)) <= room:
        return first
    return first[: max(1, sum(1 for size in accumulate(map(len, first)) if size <= room))]
