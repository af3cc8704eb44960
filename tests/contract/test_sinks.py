"""What every sink promises, tried on each against a real target on this machine."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import FailureReason, McwatchError, TransientError
from mcwatch.interfaces import Sink
from mcwatch.sinks import SinkConfig
from tests.contract.sink_events import HOSTILE_SUBJECTS, MAIL_CONTENT, batch_of, event, large, numbered
from tests.contract.sink_targets import TARGETS, TYPES
from tests.contract.sink_targets.base import SECRETS, STALL_SECS, Target

pytestmark = pytest.mark.timeout(10)


@pytest.fixture(params=list(TARGETS))
async def target(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Target]:
    """Give one target after the other, running."""
    built = TARGETS[request.param](tmp_path)
    await built.start()
    yield built
    await built.unstall()
    await built.stop()


@pytest.fixture(params=list(TARGETS))
async def stopped(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    """Give one target after the other, not yet reachable."""
    return TARGETS[request.param](tmp_path)


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """Give the log entries written during a test."""
    with capture_logs() as entries:
        yield entries


def test_every_kind_of_sink_has_a_target() -> None:
    """A member of the union cannot be forgotten here."""
    members = get_args(get_args(SinkConfig)[0])
    assert {member.model_fields["type"].annotation.__args__[0] for member in members} == TYPES


async def test_delivers_everything_in_order(target: Target) -> None:
    """What was accepted has arrived, whole, in the order given."""
    batches = [numbered(40), numbered(1, start=40), numbered(30, start=41)]
    async with target.build() as sink:
        verdicts = [await _accepted(sink, batch) for batch in batches]
        received = await target.received(71)
    assert verdicts == [ALL_ACCEPTED] * 3
    assert _documents(received) == _documents([payload for batch in batches for payload in batch.payloads])


async def test_bytes_arrive_as_they_were(target: Target) -> None:
    """No sink changes a JSON payload, hostile subjects included."""
    batch = batch_of(*(event(number, subject) for number, subject in enumerate(HOSTILE_SUBJECTS)))
    async with target.build() as sink:
        assert await _accepted(sink, batch) == ALL_ACCEPTED
        received = await target.received(len(batch))
    assert received == list(batch.payloads)


async def test_an_empty_batch_is_accepted(target: Target) -> None:
    """Nothing to send is no reason to fail."""
    async with target.build() as sink:
        assert await _accepted(sink, Batch((), ())) == ALL_ACCEPTED


async def test_check_answers_in_words_and_sends_no_event(target: Target) -> None:
    """A check of a reachable target says something and leaves nothing there."""
    async with target.build() as sink:
        assert await sink.check()
    assert target.payloads() == []


async def test_comes_up_without_its_target_and_finds_it_later(stopped: Target) -> None:
    """A sink starts while its target is away, fails transiently, and works once the target is there."""
    async with stopped.build() as sink:
        with pytest.raises(TransientError) as failure:
            await sink.deliver(numbered(3))
        await stopped.start()
        assert await _accepted(sink, numbered(3)) == ALL_ACCEPTED
        assert _documents(await stopped.received(3)) == _documents(numbered(3).payloads)
        await stopped.stop()
    assert failure.value.reason is not FailureReason.INTERNAL


async def test_reconnects_to_a_target_that_came_back(target: Target) -> None:
    """After an outage in the middle everything accepted has arrived, each event at least once."""
    async with target.build() as sink:
        await sink.deliver(numbered(5))
        await target.received(5)
        await target.stop()
        with pytest.raises(TransientError):
            await sink.deliver(numbered(5, start=5))
        await target.start()
        await _until_accepted(sink, numbered(5, start=5))
        await sink.deliver(numbered(5, start=10))
        received = await target.received(15)
    assert _ids(received) == set(range(15))


async def test_a_target_that_stalls_costs_no_more_than_the_time_out(target: Target, logs: list[Any]) -> None:
    """A target that takes a batch and never answers is a time-out that shows no secret; the next attempt goes on."""
    async with target.build() as sink:
        await target.stall()
        with pytest.raises(TransientError) as failure:
            async with asyncio.timeout(STALL_SECS * 5):
                await sink.deliver(large())
        await target.unstall()
        await _until_accepted(sink, numbered(5, start=1000))
        received = await target.received(5)
        while not _ids(received) >= set(range(1000, 1005)):
            received = await target.received(len(received) + 1)
    assert failure.value.reason is FailureReason.TIMEOUT
    assert [] == _leaks([failure.value], logs)


async def test_cancelling_a_delivery_leaves_the_sink_usable(target: Target) -> None:
    """After a cancellation in the middle the next batch arrives whole, and no line or frame is broken."""
    async with target.build() as sink:
        if target.can_stall:
            await target.stall()
        delivery = asyncio.create_task(_deliver(sink, large()))
        await target.engaged.wait()
        delivery.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivery
        await target.unstall()
        await _until_accepted(sink, numbered(5, start=1000))
        received = await target.received(5)
        while not _ids(received) >= set(range(1000, 1005)):
            received = await target.received(len(received) + 1)
    known = set(large().payloads) | set(numbered(5, start=1000).payloads)
    assert {_canonical(line) for line in received} <= {_canonical(line) for line in known}


async def test_deliveries_at_the_same_time_do_not_mix(target: Target) -> None:
    """Several batches in flight arrive whole."""
    async with target.build() as sink, asyncio.TaskGroup() as group:
        for start in range(0, 80, 8):
            group.create_task(_deliver(sink, numbered(8, start=start)))
    received = await target.received(80)
    assert sorted(_documents(received)) == sorted(_documents(numbered(80).payloads))


async def test_leaving_twice_or_unused_is_harmless(target: Target) -> None:
    """A sink that was never used, or used after a failure, closes quietly."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(target.build())
    assert target.payloads() == []


async def test_neither_secrets_nor_mail_show_up(stopped: Target, logs: list[Any]) -> None:
    """Errors with their causes, representations and logs hold no credential and nothing of a mail."""
    shown: list[object] = [stopped.config()]
    async with stopped.build() as sink:
        shown.append(sink)
        shown += [await _failure(sink, numbered(3))]
        await stopped.start()
        await sink.deliver(numbered(3))
        await stopped.stop()
        shown += [await _failure(sink, numbered(3))]
    assert [] == _leaks(shown, logs)


async def _accepted(sink: Sink, batch: Batch) -> Verdicts:
    """Deliver and wait until what was only handed over is confirmed."""
    verdicts = await sink.deliver(batch)
    if verdicts.receipt is None:
        return verdicts
    assert sink.acknowledgements
    confirmed: Collection[bytes] = ()
    while verdicts.receipt not in confirmed:
        confirmed = await sink.acknowledgements.confirmed([verdicts.receipt])
    return replace(verdicts, receipt=None)


async def _deliver(sink: Sink, batch: Batch) -> None:
    await sink.deliver(batch)


async def _failure(sink: Sink, batch: Batch) -> McwatchError:
    with pytest.raises(McwatchError) as failure:
        await sink.deliver(batch)
    return failure.value


async def _until_accepted(sink: Sink, batch: Batch) -> None:
    """Deliver as a dispatcher does: again after each transient failure."""
    while True:
        try:
            assert await _accepted(sink, batch) == ALL_ACCEPTED
        except TransientError:
            continue
        return


def _leaks(shown: Iterable[object], logs: list[Any]) -> list[str]:
    """Return the credentials and parts of a mail that stand in what was shown, with causes, or in the logs."""
    text = " ".join(f"{item!r} {item}" for one in shown for item in _with_causes(one)) + repr(logs)
    return [word for word in (*SECRETS, MAIL_CONTENT, "amy@corp.example") if word in text]


def _with_causes(item: object) -> list[object]:
    found: list[object] = [item]
    while isinstance(item, BaseException):
        found += [getattr(item, "remedy", "")]
        item = item.__cause__
        found.append(item)
    return found


def _canonical(line: bytes) -> str:
    return json.dumps(json.loads(line), sort_keys=True)


def _documents(lines: Iterable[bytes]) -> list[str]:
    return [_canonical(line) for line in lines]


def _ids(lines: list[bytes]) -> set[int]:
    return {int(json.loads(line)["event_id"], 16) for line in lines}
