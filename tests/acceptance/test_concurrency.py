"""A slow receiver and many accounts: requests side by side, order kept in each account, one gate for all of them."""

import json
import time
import zlib
from collections import defaultdict
from pathlib import Path

from aiohttp import web

from mcwatch.simulator import AccountConfig, Simulator, SimulatorConfig
from tests.acceptance import configuration
from tests.acceptance.conftest import PLENTY
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import Daemon
from tests.acceptance.waiting import eventually, pass_time
from tests.fakes.http_server import HttpServer

_ACCOUNTS = tuple(f"tenant-{number}" for number in range(6))
_MAILS = 24
_SLOW_SECS = 0.15
_ASKED_SECS = 3


class SlowHook:
    """Takes a while for each batch; knows how many it had at once and when each came."""

    def __init__(self) -> None:
        self.ids: dict[str, list[str]] = defaultdict(list)
        self.most_at_once = 0
        self.arrivals: list[float] = []
        self.throttled_at: float | None = None
        self.throttles = False
        self._now = 0

    async def take(self, request: web.Request) -> web.Response:
        """Answer a batch."""
        self.arrivals.append(time.monotonic())
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            body = await request.read()
            await pass_time(_SLOW_SECS)
            if self.throttles and self._now > 1:
                self.throttles = False
                self.throttled_at = time.monotonic()
                return web.Response(status=429, headers={"Retry-After": str(_ASKED_SECS)})
            lines = zlib.decompress(body, wbits=31) if body[:2] == b"\x1f\x8b" else body
            for line in lines.split(b"\n")[:-1]:
                event = json.loads(line)
                self.ids[event["account"]].append(event["event_id"])
            return web.Response(status=204)
        finally:
            self._now -= 1


async def test_accounts_are_sent_side_by_side_and_a_429_stops_all_of_them(place: Path) -> None:
    """More than one request is under way, each account's events come in their order, and Retry-After holds for all."""
    tenants = SimulatorConfig(
        accounts=tuple(map(AccountConfig, _ACCOUNTS)), mails_per_minute=0.0, history_secs=0.0, quota=PLENTY
    )
    slow = SlowHook()
    async with Simulator(tenants) as simulator, Hook() as quick, HttpServer(slow.take) as server:
        await server.stop()
        for name in _ACCOUNTS:
            simulator.add_mail(name, subject="mail {n}", count=_MAILS)
        accounts = [configuration.account(simulator, name, interval="1s") for name in _ACCOUNTS]
        batch = {"max_events": 3}
        config = configuration.whole(
            accounts, [configuration.hook(quick.url), configuration.hook(server.url, "slow", batch=batch)]
        )
        async with Daemon(place, config) as daemon:
            await eventually(lambda: len(quick.lines) == _MAILS * len(_ACCOUNTS))
            assert 0 == await daemon.stop()
        await server.start()
        # A new daemon finds the backlog of all accounts.
        async with Daemon(place, config) as daemon:
            await eventually(lambda: slow.most_at_once >= 2)
            slow.throttles = True
            await eventually(lambda: slow.throttled_at is not None)
            await eventually(lambda: sum(map(len, slow.ids.values())) == _MAILS * len(_ACCOUNTS), 30.0)
            assert 0 == await daemon.stop()
            scrape_of_order = defaultdict(list)
            for event in quick.events:
                scrape_of_order[event["account"]].append(event["event_id"])
        assert dict(scrape_of_order) == dict(slow.ids), "in the order recorded, each event once"
        assert slow.throttled_at is not None
        # What was on its way already cannot be called back.
        until = slow.throttled_at + _ASKED_SECS
        meanwhile = [at for at in slow.arrivals if slow.throttled_at + 0.5 < at < until - 0.05]
        assert [] == meanwhile
        assert slow.arrivals[-1] > until
