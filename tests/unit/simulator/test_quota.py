"""Quotas, and the headers that tell of them."""

import dataclasses

import pytest

from mcwatch.simulator import QuotaConfig, SimulatorConfig
from mcwatch.simulator.config import ResetStyle
from tests.unit.simulator.client import DOMAINS, QUEUE, FakeClock
from tests.unit.simulator.conftest import Start

LIST = {"type": "processing"}


def limited(calls: int = 2, headers: bool = True, reset: ResetStyle = "milliseconds") -> SimulatorConfig:
    """A tenant that allows few calls."""
    quota = QuotaConfig(calls=calls, per_secs=10.0, headers=headers, reset=reset)
    return dataclasses.replace(SimulatorConfig.quiet(), quota=quota)


async def test_window(start: Start, clock: FakeClock) -> None:
    """Calls beyond the quota answer 429, flat, until the window ends."""
    client = await start(limited())
    statuses, remaining = [], []
    for _ in range(3):
        answer = await client.call(QUEUE, LIST)
        statuses.append(answer.status)
        remaining.append(answer.headers["X-RateLimit-Remaining"])
        clock.now += 2.5
    assert statuses == [200, 200, 429]
    assert remaining == ["1", "0", "0"]
    answer = await client.call(QUEUE, LIST)
    assert {"fail"} == set(answer.content)
    assert answer.headers["X-RateLimit-Reset"] == "2500"
    assert answer.headers["X-RateLimit-Limit"] == "2"
    clock.now += 2.5
    assert (await client.call(QUEUE, LIST)).status == 200


async def test_scope_of_tokens(start: Start) -> None:
    """With tokens each function has its own bucket."""
    client = await start(limited(calls=1))
    statuses = [(await client.call(path, LIST)).status for path in (QUEUE, DOMAINS, QUEUE, DOMAINS)]
    assert statuses == [200, 200, 429, 429]


async def test_scope_of_signatures(start: Start) -> None:
    """Signed calls share one bucket per account, and their 429 is nested."""
    client = await start(limited(calls=1))
    first, second = [await client.call_signed(path, LIST) for path in (QUEUE, DOMAINS)]
    assert [first.status, second.status] == [200, 429]
    assert "errors" in second.content["fail"][0]


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("milliseconds", "10000"),
        ("epoch_seconds", "1767605410"),
        ("epoch_milliseconds", "1767605410000"),
        ("nonsense", "soon"),
        ("absent", None),
    ],
)
async def test_reset_styles(start: Start, style: ResetStyle, expected: str | None) -> None:
    """The reset header can be worded in each way seen, or in none."""
    client = await start(limited(reset=style))
    assert expected == (await client.call(QUEUE, LIST)).headers.get("X-RateLimit-Reset")


async def test_no_headers(start: Start) -> None:
    """A tenant can be silent about its quota altogether."""
    client = await start(limited(headers=False))
    assert not [name for name in (await client.call(QUEUE, LIST)).headers if name.startswith("X-RateLimit")]
