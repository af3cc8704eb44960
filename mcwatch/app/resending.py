"""Replays and dead letters sent again, step by step, through the destinations' own outlets."""

import difflib
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec
import structlog

from mcwatch.domain.delivery import Refusal
from mcwatch.domain.errors import McwatchError, PermanentError
from mcwatch.domain.outbox import KeptLetter, Standing
from mcwatch.domain.resending import (
    LetterRequest,
    ReplayedStep,
    ReplayPlan,
    ReplayRequest,
    ReplayStep,
    RetriedStep,
)
from mcwatch.httpserver.control import ControlRoute, acting_route
from mcwatch.interfaces import Clock, Store
from mcwatch.pipeline.batches import BatchReader
from mcwatch.pipeline.inflight import InFlight
from mcwatch.pipeline.resending import Resender

_STEP_SECS = 60.0
_STEP_EVENTS = 10_000
_LETTERS = 100
_UNREADABLE = "rows that could not be decoded: mcwatch backfill reads their time again"
_GONE = "of destinations that are not configured"

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """What it takes to send to one destination beside its dispatcher."""

    reader: BatchReader
    resender: Resender


class Resending:
    """The destinations by name; an async context manager.

    ``serves`` is False where no daemon runs: then nobody has opened the sinks, and the first step that needs one opens
    it. It stays open until this is left, since a sink is opened once in its life.
    """

    def __init__(self, store: Store, clock: Clock, *, serves: bool) -> None:
        self._store = store
        self._clock = clock
        self._serves = serves
        self._ways: dict[str, Way] = {}
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    def put(self, name: str, way: Way) -> None:
        """Take note of a configured destination."""
        self._ways[name] = way

    def remove(self, name: str) -> None:
        """Forget a destination."""
        del self._ways[name]

    def _way(self, name: str) -> Way:
        if name not in self._ways:
            near = difflib.get_close_matches(name, self._ways, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"the destinations are {', '.join(sorted(self._ways))}"
            raise PermanentError(f"there is no destination {name!r}", remedy=remedy)
        return self._ways[name]

    async def _open_way(self, name: str) -> Way:
        way = self._way(name)
        outlet = way.resender.outlet
        if not self._serves and not outlet.is_open:
            await self._opened.enter_async_context(outlet.opened())
        return way

    async def plan(self, request: ReplayRequest) -> ReplayPlan:
        """Say which events of a range the destination has passed and the store still keeps; raises PermanentError."""
        self._way(request.destination)
        if request.start >= request.end:
            raise PermanentError("the range ends before it begins", remedy="give --from before --to")
        steps: list[ReplayStep] = []
        waiting = lost = 0
        for one in await self._store.standings(request.destination):
            start, end = await self._offsets(one, request)
            lost += one.oldest == start > 0
            waiting += max(0, end - max(one.position, start))
            steps += _steps(request.destination, one, start, min(end, one.position))
        notes = []
        if lost:
            notes.append("older events may be gone: they are kept for store.keep_delivered after they were delivered")
        if waiting:
            notes.append(f"{waiting:,} events of the range wait for the destination anyway and are left to it")
        return ReplayPlan(destination=request.destination, steps=steps, notes=notes)

    async def _offsets(self, one: Standing, request: ReplayRequest) -> tuple[int, int]:
        start = await self._store.offset_at(one.account_id, request.start)
        end = await self._store.offset_before(one.account_id, request.end)
        return one.head if start is None else start, end or 0

    async def replay(self, step: ReplayStep) -> ReplayedStep:
        """Send events again for about a minute; raises what sending raises, with what was sent counted nowhere."""
        until = self._clock.monotonic() + _STEP_SECS
        refused: Counter[str] = Counter()
        sent, passed, start = 0, 0, step.start
        way = await self._open_way(step.destination)
        while start < step.end:
            batches = await _batches(way, msgspec.structs.replace(step, start=start))
            start = batches[-1].segments[0].end
            passed += sum(one.segments[0].count - len(one.batch) for one in batches)
            for resent in await way.resender.send(batches, until):
                sent += resent.accepted
                refused.update(_reasons(resent.refused))
            if self._clock.monotonic() >= until:
                break
        logger.info(
            "replay_step_done", destination=step.destination, account=step.account, sent=sent, refused=refused.total()
        )
        rest = [msgspec.structs.replace(step, start=start)] if start < step.end else []
        return ReplayedStep(sent=sent, not_selected=passed, refused=dict(refused), rest=rest)

    async def retry(self, request: LetterRequest) -> RetriedStep:
        """Send the next of the chosen dead letters again; those that are accepted are dead letters no more.

        Where letters of several destinations are meant, one that takes none does not keep the others from theirs;
        raises what sending raises where only one is.
        """
        letters = await self._store.letters(request.choice, request.after, _LETTERS)
        kept: Counter[str] = Counter()
        delivered, refused = 0, Counter[str]()
        names = sorted({one.letter.destination for one in letters})
        for name in names:
            of_this = [one for one in letters if one.letter.destination == name]
            if name not in self._ways:
                kept[_GONE if name else _UNREADABLE] += len(of_this)
                continue
            try:
                accepted, reasons = await self._retry_at(name, of_this)
            except McwatchError as error:
                if len(names) == 1:
                    raise
                kept[f"of {name}: {error}"] += len(of_this)
            else:
                delivered += accepted
                refused.update(reasons)
        rest = None
        if len(letters) == _LETTERS:
            rest = LetterRequest(ids=request.ids, destination=request.destination, after=letters[-1].letter.id)
        return RetriedStep(delivered=delivered, refused=dict(refused), kept=dict(kept), rest=rest)

    async def _retry_at(self, name: str, letters: list[KeptLetter]) -> tuple[int, Counter[str]]:
        until = self._clock.monotonic() + _STEP_SECS
        way = await self._open_way(name)
        resent = await way.resender.send_events([one.body for one in letters], until)
        accepted = [one.letter.id for at, one in enumerate(letters) if at not in resent.refused]
        refused = {letters[at].letter.id: refusal for at, refusal in resent.refused.items()}
        await self._store.retried(accepted, refused)
        logger.info("dead_letters_retried", destination=name, delivered=len(accepted), refused=len(refused))
        return len(accepted), _reasons(resent.refused)


def _steps(destination: str, one: Standing, start: int, end: int) -> list[ReplayStep]:
    """Cut a range into pieces, so that whoever asks for them one by one can say how far it has come."""
    return [
        ReplayStep(
            destination=destination,
            account=one.account,
            account_id=one.account_id,
            start=at,
            end=min(at + _STEP_EVENTS, end),
        )
        for at in range(start, end, _STEP_EVENTS)
    ]


async def _batches(way: Way, step: ReplayStep) -> list[InFlight]:
    """Read as many batches of a step as are sent together."""
    batches: list[InFlight] = []
    start = step.start
    while start < step.end and len(batches) < way.resender.most_together:
        batches.append(await way.reader.piece(step.account_id, start, step.end - start, step.account))
        start = batches[-1].segments[0].end
    return batches


def _reasons(refused: dict[int, Refusal]) -> Counter[str]:
    return Counter(str(refusal.reason) for refusal in refused.values())


def resending_routes(resending: Resending) -> list[ControlRoute]:
    """Return what commands can have sent again."""
    return [
        acting_route("/replay/plan", ReplayRequest, resending.plan),
        acting_route("/replay", ReplayStep, resending.replay),
        acting_route("/dead-letters/retry", LetterRequest, resending.retry),
    ]
