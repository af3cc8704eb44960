"""Reading from the outbox: the next batch of a destination, across its accounts, each in turn."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import msgspec

from mcwatch.domain.delivery import Batch, Refusal
from mcwatch.domain.errors import FailureReason, McwatchError
from mcwatch.domain.outbox import OutboxRow
from mcwatch.domain.selection import Selection
from mcwatch.interfaces import Store
from mcwatch.pipeline.cache import LineCache
from mcwatch.pipeline.inflight import InFlight, Segment
from mcwatch.pipeline.rendering import Rendering


class _Origin(msgspec.Struct, gc=False):
    account: str


_ORIGIN = msgspec.json.Decoder(_Origin)
_UNRENDERED = Refusal(FailureReason.INTERNAL, "a defect in mcwatch made no payload of this event")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large a batch may get, in events and in bytes of native JSON, and how long it waits to get there.

    At most ``max_in_flight`` batches of an account wait for their receipts to be confirmed.
    """

    max_events: int = 500
    max_bytes: int = 2**20
    linger_secs: float = 0.0
    max_in_flight: int = 1


@dataclass(frozen=True, slots=True)
class View:
    """What a destination gets to see: which events, and how they look."""

    selection: Selection
    rendering: Rendering


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some lines of one outbox row, from index ``start`` up to ``stop``."""

    first_offset: int
    lines: Sequence[bytes]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Events of one account without holes; ``payloads`` are those of the wanted ones."""

    natives: Sequence[bytes]
    wanted: Sequence[int]
    payloads: Sequence[bytes]
    observed_at: float


class BatchReader:
    """Builds batches for one destination from the outbox."""

    def __init__(self, destination: str, store: Store, cache: LineCache, view: View, limits: BatchLimits) -> None:
        self._destination = destination
        self._store = store
        self._cache = cache
        self._view = view
        self._limits = limits
        self._turn = 0

    def waiting(self, reading: dict[int, int], busy: Collection[int] = ()) -> int:
        """Return how many events can be read now."""
        heads = self._store.heads()
        return sum(head - reading.get(account, head) for account, head in heads.items() if account not in busy)

    async def next(
        self,
        reading: dict[int, int],
        accounts: dict[int, str],
        busy: Collection[int] = (),
        max_events: int | None = None,
    ) -> InFlight | None:
        """Return the next batch from where reading stands, None when nothing waits; ``reading`` stays as it is.

        An account that is not in ``reading`` is not delivered here, or not yet.
        ``max_events`` keeps it smaller than its limit.
        """
        heads = self._store.heads()
        behind = sorted(
            account for account, head in heads.items() if head > reading.get(account, head) and account not in busy
        )
        if not behind:
            return None
        self._turn += 1
        start = self._turn % len(behind)
        segments: list[Segment] = []
        runs: list[_Run] = []
        events, room = min(max_events or self._limits.max_events, self._limits.max_events), self._limits.max_bytes
        for account in behind[start:] + behind[:start]:
            run = await self._run(account, reading[account], events, room, accounts.get(account))
            if run is None:
                continue
            size = sum(map(len, run.natives))
            if runs and size > room:
                # One event is always given, but only an empty batch may grow too large by it.
                break
            runs.append(run)
            segments.append(Segment(account, reading[account], len(run.natives), run.wanted, run.observed_at))
            events -= len(run.natives)
            room -= size
            if events <= 0 or room <= 0:
                break
        if not runs:
            # Taken for "nothing waits", it would stall the destination without a word.
            raise McwatchError(f"events wait for {self._destination}, and none can be read from where it stands")
        inflight = InFlight(segments, self._provable(self._batch(runs)))
        self._refuse_unrendered(inflight)
        return inflight

    async def piece(self, account: int, position: int, most: int, name: str) -> InFlight:
        """Return at most ``most`` events of one account from ``position`` on, as many as a batch may hold."""
        events = min(most, self._limits.max_events)
        run = await self._run(account, position, events, self._limits.max_bytes, name)
        if run is None:
            raise McwatchError(
                "events to be sent again are not kept any more", remedy="begin later: see store.keep_delivered"
            )
        inflight = InFlight(
            [Segment(account, position, len(run.natives), run.wanted, run.observed_at)], self._batch([run])
        )
        self._refuse_unrendered(inflight)
        return inflight

    async def fill(self, inflight: InFlight, accounts: dict[int, str]) -> None:
        """Read a released batch again."""
        runs = [
            await self._whole(segment.account_id, segment.position, segment.count, accounts.get(segment.account_id))
            for segment in inflight.segments
        ]
        inflight.fill(self._provable(self._batch(runs)), [run.wanted for run in runs])
        self._refuse_unrendered(inflight)

    def _batch(self, runs: Sequence[_Run]) -> Batch:
        native = [run.natives[index] for run in runs for index in run.wanted]
        payloads = [payload for run in runs for payload in run.payloads]
        return Batch(native, payloads, self._view.rendering.content_type)

    def _provable(self, batch: Batch) -> Batch:
        """Return a batch of which something could be rendered; raises the defect that met every event of it.

        Then none of them is to blame. It takes the whole batch to tell: a page often holds a single event.
        """
        if not batch.payloads or any(batch.payloads):
            return batch
        return replace(batch, payloads=self._view.rendering.exact(batch.native))

    @staticmethod
    def _refuse_unrendered(inflight: InFlight) -> None:
        payloads = inflight.batch.payloads
        if not all(payloads):
            for index in inflight.open():
                if not payloads[index]:
                    inflight.refuse(index, _UNRENDERED)

    async def _whole(self, account: int, position: int, count: int, name: str | None) -> _Run:
        """Read exactly these events, however many rows hold them."""
        runs: list[_Run] = []
        while (found := sum(len(run.natives) for run in runs)) < count:
            run = await self._run(account, position + found, count - found, self._limits.max_bytes, name)
            if run is None:
                raise McwatchError(f"events on their way to {self._destination} cannot be read again")
            runs.append(run)
        starts = [0, *accumulate(len(run.natives) for run in runs)]
        return _Run(
            [native for run in runs for native in run.natives],
            [start + index for start, run in zip(starts, runs, strict=False) for index in run.wanted],
            [payload for run in runs for payload in run.payloads],
            runs[0].observed_at,
        )

    async def _run(self, account: int, position: int, events: int, room: int, name: str | None) -> _Run | None:
        rows = await self._store.read(account, position, room, self._cache.natives_of(account))
        pieces = self._pieces(account, position, rows, events)
        if not pieces:
            # What the cache held when it was asked has been pushed out since.
            rows = await self._store.read(account, position, room)
            pieces = self._pieces(account, position, rows, events)
        if not pieces:
            return None
        natives = _within([line for piece in pieces for line in piece.lines[piece.start : piece.stop]], events, room)
        # An account that is gone from the configuration is known by its events alone; they are still delivered.
        selection = self._view.selection
        wants = selection.wants_account(_ORIGIN.decode(natives[0]).account if name is None else name)
        wanted: Sequence[int] = selection.wanted(natives) if wants else ()
        if len(wanted) == len(natives):
            # It stays for as long as the batch is on its way, when its bytes are long given back.
            wanted = range(len(natives))
        payloads = self._payloads(account, pieces, natives, wanted)
        return _Run(natives, wanted, payloads, rows[0].observed_at.timestamp())

    def _pieces(self, account: int, position: int, rows: Sequence[OutboxRow], events: int) -> list[_Piece]:
        """Return the lines from ``position`` on, without holes, ``events`` of them or a bit more."""
        pieces: list[_Piece] = []
        found = 0
        for row in rows:
            skip = position + found - row.first_offset
            lines = self._lines(account, row)
            if skip < 0 or not lines:
                break
            pieces.append(_Piece(row.first_offset, lines, skip, len(lines)))
            found += len(lines) - skip
            if found >= events:
                break
        return pieces

    def _payloads(
        self, account: int, pieces: Sequence[_Piece], natives: Sequence[bytes], wanted: Sequence[int]
    ) -> Sequence[bytes]:
        """Return the wanted events as the destination shows them.

        A row is rendered once for all destinations that show all of it alike; what only some destination wants a part
        of is rendered for it alone.
        """
        rendering = self._view.rendering
        if rendering.is_native or not wanted:
            return natives if len(wanted) == len(natives) else [natives[index] for index in wanted]
        if len(wanted) < len(natives):
            return rendering.render([natives[index] for index in wanted])
        rendered: list[bytes] = []
        for piece in pieces:
            lines = self._cache.get(account, piece.first_offset, rendering.name)
            if lines is None:
                lines = rendering.render(piece.lines)
                if all(lines):
                    self._cache.put(account, piece.first_offset, lines, rendering.name)
            rendered += lines[piece.start : piece.stop]
            if len(rendered) >= len(natives):
                break
        return rendered[: len(natives)]

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
