"""Many accounts in one process: none waits for another, and none comes back in step with the others."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance import configuration
from tests.acceptance.daemon import Daemon
from tests.acceptance.waiting import eventually, pass_time
from tests.fakes.quiet_api import FINDER, QUEUE, QuietApi

pytestmark = pytest.mark.alone

_INTERVAL_SECS = 1.0


def _account(api: QuietApi, name: str, interval_secs: float) -> configuration.Config:
    interval = f"{interval_secs:g}s"
    return {
        "name": name,
        "api": {
            "base_url": api.url,
            "auth": {"type": "oauth2", "client_id": name, "client_secret": "hush"},
            "max_requests_per_minute": 60_000,
            "request_timeout": "30s",
        },
        "sources": [
            {"type": "processing_queue", "interval": interval, "queues": ["processing"]},
            {"type": "message_finder", "interval": interval, "rescans": [], "initial_look_back": "1h"},
        ],
    }


def _config(api: QuietApi, names: list[str], interval_secs: float = _INTERVAL_SECS) -> configuration.Config:
    return configuration.whole([_account(api, name, interval_secs) for name in names], [configuration.file()])


async def test_accounts_that_hang_or_fail_cost_the_others_nothing(place: Path) -> None:
    """While some get no answer and some only errors, every other account is polled as often as before."""
    names = [f"tenant-{number:02}" for number in range(20)]
    bad, good = names[:8], names[8:]
    async with QuietApi() as api, Daemon(place, _config(api, names)) as daemon:
        await eventually(lambda: all(len(api.asked_by[name]) >= 4 for name in names))
        api.hanging.update(bad[:4])
        api.refused.update(bad[4:])
        began, period = time.monotonic(), 6 * _INTERVAL_SECS
        await pass_time(period)
        asked = {name: sum(began <= at < began + period for at in api.asked_by[name]) for name in good}
        # Two sources, each once per interval; one of them may just lie outside at either end.
        least = 2 * (period / _INTERVAL_SECS - 1)
        assert {} == {name: count for name, count in asked.items() if count < least}
        report = await daemon.status()
        assert all(account["up"] for account in report["accounts"] if account["name"] in good)
        api.refused.clear()
        assert 0 == await daemon.stop()


async def test_polls_stay_spread_after_an_outage(place: Path) -> None:
    """When the API answers again no moment sees more than a small part of all polls, as from the start on."""
    names = [f"tenant-{number:02}" for number in range(30)]
    interval_secs = 2.0
    async with QuietApi() as api, Daemon(place, _config(api, names, interval_secs)) as daemon:
        await eventually(lambda: all(len(api.asked_by[name]) >= 4 for name in names))
        api.is_out = True
        await pass_time(2 * interval_secs)
        api.is_out = False
        began = time.monotonic()
        await pass_time(3 * interval_secs)
        moments = [at for path in (QUEUE, FINDER) for at in api.asked[path] if at >= began]
        assert len(moments) >= 2 * len(names) * 2
        # An eighth of the interval sees an eighth of the polls, more where the machine stood still for a moment.
        fullest = max(Counter(int((at - began) * 8 / interval_secs) for at in moments).values())
        assert fullest <= 2 * len(names) * 0.5, "the most polls, of 60, in an eighth of their interval"
        assert 0 == await daemon.stop()
