"""When polling rests."""

from functools import partial

import pytest

from mcwatch.domain.errors import StoreCorrupt, StoreUnavailable, TransientError
from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.telemetry.health import STORE
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import Lab

FINDER = "message_finder"
QUEUE = "processing_queue"


@pytest.mark.parametrize(
    ("share", "finder_rests", "queue_rests"),
    [(0.89, False, False), (0.9, True, False), (0.99, True, False), (1.0, True, True)],
)
async def test_finder_rests_before_the_queue(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, share: float, finder_rests: bool, queue_rests: bool
) -> None:
    """The finder rests at 90 % of the backlog, the queue at 100 %, and the metric shows the first of it."""

    async def backlog() -> int:
        return int(share * 1000)

    monkeypatch.setattr(lab.store, "backlog_bytes", backlog)
    pressure = lab.pressure(1000)
    await pressure.refresh()
    assert (finder_rests, queue_rests) == (pressure.holds(FINDER), pressure.holds(QUEUE))
    assert (["backlog"] if finder_rests else []) == pressure.paused
    assert float(finder_rests) == lab.metric("polling_paused", reason="backlog")
    assert 0.0 == lab.metric("polling_paused", reason="store")


async def test_real_backlog_counts(lab: Lab) -> None:
    """The backlog is what the store says is not delivered."""
    pressure = lab.pressure(10)
    await pressure.refresh()
    assert [] == pressure.paused
    await lab.append(range(5))
    await pressure.refresh()
    assert ["backlog"] == pressure.paused


async def test_full_disk_rests_everything(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full every source rests and the store is down; it is up again as soon as it recovers."""
    room = False

    async def recover() -> bool:
        return room

    monkeypatch.setattr(lab.store, "recover", recover)
    pressure = lab.pressure()
    await pressure.refresh()
    assert ["store"] == pressure.paused
    assert (True, True) == (pressure.holds(FINDER), pressure.holds(QUEUE))
    assert 1.0 == lab.metric("polling_paused", reason="store")
    assert lab.health.condition(STORE).up is False
    room = True
    await pressure.refresh()
    assert [] == pressure.paused
    assert 0.0 == lab.metric("polling_paused", reason="store")
    assert lab.health.condition(STORE).up


async def test_read_only_file_system_rests_everything(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that says why it takes no pages is down with that reason and remedy, and every source rests."""

    async def recover() -> bool:
        raise StoreUnavailable("the file system is read-only", remedy="mount it writable")

    pressure = lab.pressure()
    with monkeypatch.context() as patched:
        patched.setattr(lab.store, "recover", recover)
        await pressure.refresh()
    assert ["store"] == pressure.paused
    condition = lab.health.condition(STORE)
    assert (False, "mount it writable") == (condition.up, condition.remedy)
    await pressure.refresh()
    assert [] == pressure.paused
    assert lab.health.condition(STORE).up


async def test_loop_outlives_a_store_that_does_not_answer(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure that cannot be read leaves the last one standing; a store that cannot be trusted ends the loop."""
    errors: list[Exception] = [StoreUnavailable("busy"), StoreUnavailable("busy"), StoreCorrupt("damaged")]

    async def backlog() -> int:
        raise errors.pop(0)

    monkeypatch.setattr(lab.store, "backlog_bytes", backlog)
    with pytest.raises(StoreCorrupt):
        await lab.pressure().run()
    assert [1.0, 1.0] == lab.clock.sleeps
    assert lab.health.condition(STORE).up is False


async def test_a_destination_that_need_not_be_waited_for_is_passed_over(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one that holds up so much by itself skips, and only when the backlog is long."""
    backlogs = {"dead": 950, "slow": 899, "quick": 0}
    total = 899

    async def backlog() -> int:
        return total

    async def backlog_of(name: str) -> int:
        return backlogs[name]

    monkeypatch.setattr(lab.store, "backlog_bytes", backlog)
    monkeypatch.setattr(lab.store, "backlog_of", backlog_of)
    skipped: list[str] = []
    pressure = lab.pressure(1000)
    pressure.need_not_wait_for({name: partial(skipped.append, name) for name in backlogs})
    await pressure.refresh()
    assert [] == skipped
    total = 950
    await pressure.refresh()
    assert ["dead"] == skipped


async def test_a_dead_destination_does_not_stop_the_feed(lab: Lab) -> None:
    """Passed over, its backlog holds up nothing any more; one that waits is still waited for."""
    await lab.store.enrol({"hook": False, "other": False})
    await lab.append(range(50))
    sink = FakeSink()
    sink.outage = TransientError("down")
    dispatcher = lab.dispatcher(sink)
    pressure = lab.pressure(await lab.store.backlog_bytes())
    pressure.need_not_wait_for({"hook": dispatcher.skip})
    await pressure.refresh()
    dispatcher.drain()
    await dispatcher.run(lab.accounts)
    assert 50 == (await lab.figures()).skipped
    assert pressure.holds(FINDER), "the other one is waited for"
    await lab.store.settle(Settlement("other", [Progress(lab.acme, 50, 50, 0)]))
    await pressure.refresh()
    assert not pressure.holds(FINDER)
