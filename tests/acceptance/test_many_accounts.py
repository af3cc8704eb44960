"""Many accounts in one process: none waits for another, and none comes back in step with the others."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance import configuration
from tests.acceptance.daemon import Daemon
from tests.acceptance.waiting import eventually, pass_time
from tests.fakes.quiet_api import QuietApi

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
    pollers, interval_secs, intervals = 2 * len(names), 2.0, 3
    async with QuietApi() as api, Daemon(place, _config(api, names, interval_secs)) as daemon:
        await eventually(lambda: all(len(api.asked_by[name]) >= 4 for name in names))
        api.is_out = True
        await pass_time(2 * interval_secs)
        api.is_out = False
        back_at = time.monotonic()
        await pass_time((1 + intervals) * interval_secs)
        returning, later = api.asked_since(back_at, interval_secs), api.asked_since(back_at + interval_secs)
        assert 0 == await daemon.stop()
    assert len(later) >= pollers * (intervals - 1)
    # Those that failed a moment ago try again, each at a time of its own, and read what they have missed.
    assert _fullest_eighth(returning, interval_secs) <= pollers
    # Several intervals laid upon each other: polls in step are so in each, a machine that stands still is so once.
    assert _fullest_eighth(later, interval_secs) <= pollers * intervals * 0.4


def _fullest_eighth(moments: list[float], interval_secs: float) -> int:
    """Return how many of the moments lie in the fullest eighth of the interval."""
    return max(Counter(int(moment * 8 / interval_secs) % 8 for moment in moments).values())
