"""The loop that expires."""

import asyncio
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.pipeline.retention import Retention
from tests.unit.pipeline.lab import Lab

Answer = bool | Exception


class _Scripted:
    """Stands in for the store's expiry."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[datetime] = []
        self.done = asyncio.Event()

    async def __call__(self, now: datetime) -> bool:
        self.asked.append(now)
        answer = self.answers.pop(0)
        if not self.answers:
            self.done.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_sweep_goes_on_until_nothing_is_left(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep asks again, after a breath, as long as the store reports more."""
    expire = _Scripted(True, True, False)
    monkeypatch.setattr(lab.store, "expire", expire)
    await Retention(lab.store, lab.clock).sweep()
    assert 3 == len(expire.asked)
    assert [0.05, 0.05] == lab.clock.sleeps


async def test_loop_sweeps_every_minute_and_survives_trouble(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps are a minute apart, and a store that takes no writes is asked again at the next one."""
    expire = _Scripted(False, StoreUnavailable("full"), False, False)
    monkeypatch.setattr(lab.store, "expire", expire)
    with capture_logs() as logs:
        task = asyncio.ensure_future(Retention(lab.store, lab.clock).run())
        await expire.done.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gaps = [(after - before).total_seconds() for before, after in zip(expire.asked, expire.asked[1:], strict=False)]
    assert [60.0, 60.0, 60.0] == gaps
    assert ["expiry_waits"] == [entry["event"] for entry in logs]


async def test_a_clock_set_ahead_expires_nothing_before_it_has_held_for_a_day(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A jump of a hundred days is not believed, then it is when it stays; an hour's jump and jumps back always are."""
    expire = _Scripted(*[False] * 6)
    monkeypatch.setattr(lab.store, "expire", expire)
    retention, start = Retention(lab.store, lab.clock), lab.clock.now()
    with capture_logs() as logs:
        lab.clock.jump(1800)
        await retention.sweep()
        lab.clock.jump(100 * 86400)
        await retention.sweep()
        lab.clock.advance(3600)
        await retention.sweep()
        lab.clock.advance(86400)
        await retention.sweep()
        lab.clock.jump(-100 * 86400)
        await retention.sweep()
    secs = [(asked - start).total_seconds() for asked in expire.asked]
    assert [1800.0, 1800.0, 5400.0, 100 * 86400 + 91800.0, 91800.0] == secs
    assert ["clock_jumped_ahead"] == [entry["event"] for entry in logs]
