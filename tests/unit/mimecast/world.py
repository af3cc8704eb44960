"""The client and the built-in simulator in the same virtual time."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.config import ApiConfig
from mcwatch.mimecast.endpoints import api_time
from mcwatch.mimecast.envelope import AnswerDecoder
from mcwatch.simulator import AccountConfig, Simulator, SimulatorConfig
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import START, FakeClock


class Found(msgspec.Struct):
    """What the finder's item holds, rows unread."""

    trackedEmails: list[msgspec.Raw] = []  # noqa: N815 - the wire name


FOUND = AnswerDecoder(Found)


@dataclass
class World:
    """A simulator, a client of it, and the time both live in."""

    clock: FakeClock
    simulator: Simulator
    client: MimecastClient

    def search(self, hours: float = 1.0) -> dict[str, object]:
        """Return a search over the last hours."""
        now = self.client.server_now()
        return {
            "start": api_time(now - timedelta(hours=hours)),
            "end": api_time(now),
            "advancedTrackAndTraceOptions": {"to": "corp.example"},
        }


@asynccontextmanager
async def run(auth: dict[str, str], config: SimulatorConfig, **keys: object) -> AsyncIterator[World]:
    """Start the simulator and a client. A jump of the clock is one of the client's machine alone."""
    clock = FakeClock()
    async with Simulator(config, lambda: START.timestamp() + clock.monotonic()) as simulator:
        api = ApiConfig.model_validate({"auth": auth, "base_url": simulator.url, **keys})
        metrics = Metrics(CollectorRegistry())
        async with MimecastClient("acme", api, clock=clock, metrics=metrics, rng=random.Random(1)) as client:
            yield World(clock, simulator, client)


DEMO = AccountConfig()
OAUTH2 = {"type": "oauth2", "client_id": DEMO.client_id, "client_secret": DEMO.client_secret}
HMAC = {
    "type": "hmac",
    "app_id": DEMO.app_id,
    "app_key": DEMO.app_key,
    "access_key": DEMO.access_key,
    "secret_key": DEMO.secret_key,
}
both = pytest.mark.parametrize("auth", [OAUTH2, HMAC], ids=["oauth2", "hmac"])
