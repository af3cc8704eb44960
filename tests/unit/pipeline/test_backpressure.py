"""When polling rests."""

import pytest

from mcwatch.domain.errors import StoreCorrupt, StoreUnavailable
from mcwatch.telemetry.health import STORE
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
