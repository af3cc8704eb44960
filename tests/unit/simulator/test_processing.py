"""The processing queue: a live list, paged by offset."""

import dataclasses
from typing import Any

import pytest

from mcwatch.simulator import Shape, SimulatorConfig
from tests.unit.simulator.client import QUEUE, Client, FakeClock, api_time
from tests.unit.simulator.conftest import Start

QUIET = SimulatorConfig.quiet()
HERE: dict[str, Any] = {"life": [[0, "processing"]]}
LIST = {"type": "processing"}


async def subjects(client: Client, **item: object) -> list[str]:
    """List the queue and return what is in it."""
    return [row["subject"] for row in (await client.call(QUEUE, item)).rows]


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"unknown": 1},
        {"type": "held"},
        {"sortBy": "size"},
        {"sortOrder": "upwards"},
        {"start": "yesterday"},
        {"searchBy": "subject"},
        {"searchBy": {"fieldName": "subject"}},
        {"searchBy": {"fieldName": "size", "value": "1"}},
    ],
)
async def test_validation(quiet: Client, item: dict[str, Any]) -> None:
    """At least one field is needed, and each has its allowed values."""
    assert (await quiet.call(QUEUE, item)).status == 400


async def test_entry(quiet: Client) -> None:
    """An entry has the queue's own names: fromHeader, routing, attachment, remoteIp, and `to` as an object."""
    quiet.simulator.add_mail(
        life=[{"after_secs": 0, "queue": "processing", "attempts": 2, "info": "scanning", "locked_for_secs": 30}]
    )
    answer = await quiet.call(QUEUE, LIST)
    (row,) = answer.rows
    assert 350 <= len(row.pop("id")) <= 404
    expected = {
        "fromEnv": {"emailAddress": "sender@partner.example"},
        "fromHeader": {"emailAddress": "sender@partner.example"},
        "to": {"displayableName": "", "emailAddress": "amy.adams@corp.example"},
        "subject": "Given mail",
        "attachment": False,
        "routing": "inbound",
        "size": 4096,
        "remoteIp": "192.0.2.25",
        "attempts": 2,
        "created": "2026-01-05T09:30:00+0000",
        "nextAttempt": "2026-01-05T09:31:00+0000",
        "lockedUntil": "2026-01-05T09:30:30+0000",
        "info": "scanning",
        "priority": "normal",
    }
    assert expected == row
    assert answer.pagination == {"pageSize": 100, "totalCount": 1}


async def test_two_queues(quiet: Client) -> None:
    """`type` selects the queue, `processing` by default; an entry keeps its id when it moves."""
    quiet.simulator.add_mail(subject="moved", life=[[-9, "processing"], [-1, "bulk_processing"]])
    quiet.simulator.add_mail(subject="slow", **HERE)
    assert await subjects(quiet, sortOrder="desc") == ["slow"]
    assert await subjects(quiet, type="bulk_processing") == ["moved"]


async def test_snapshot(quiet: Client, clock: FakeClock) -> None:
    """An entry is listed while it is in the queue, and again if it comes back, under the same id."""
    quiet.simulator.add_mail(life=[[0, "processing"], [20, "left"], [40, "processing"], [60, "left"]])
    seen = []
    for _ in range(8):
        seen.append([row["id"] for row in (await quiet.call(QUEUE, LIST)).rows])
        clock.now += 10
    assert [len(ids) for ids in seen] == [1, 1, 0, 0, 1, 1, 0, 0]
    assert len({row_id for ids in seen for row_id in ids}) == 1


async def test_long_stay(quiet: Client, clock: FakeClock) -> None:
    """Mail added by hand stays as long as its life says, days if need be."""
    quiet.simulator.add_mail(**HERE)
    clock.now += 3 * 86_400
    await quiet.log_in()
    assert await subjects(quiet, **LIST) == ["Given mail"]


async def test_live_paging(start: Start, clock: FakeClock) -> None:
    """Arrivals between two pages repeat rows, departures skip them: there is no snapshot behind a token."""
    client = await start(dataclasses.replace(QUIET, queue=Shape(page_cap=2)))

    async def second_page_after(life: list[Any], arrival: bool) -> list[str]:
        for subject in "abcd":
            clock.now += 1
            client.simulator.add_mail(
                subject=subject, life=life if subject == "d" else [[0, "processing"], [90, "left"]]
            )
        first = await client.call(QUEUE, LIST)
        assert [row["subject"] for row in first.rows] == ["d", "c"]
        clock.now += 2
        if arrival:
            client.simulator.add_mail(subject="e", life=[[0, "processing"], [90, "left"]])
        second = await client.call(QUEUE, LIST, pageToken=first.pagination["next"])
        clock.now += 100
        return [row["subject"] for row in second.rows]

    assert await second_page_after([[0, "processing"], [90, "left"]], arrival=True) == ["c", "b"]
    assert await second_page_after([[0, "processing"], [1, "left"]], arrival=False) == ["a"]


async def test_window_and_order(quiet: Client, clock: FakeClock) -> None:
    """`start` and `end` bound `created`; newest first unless asked otherwise."""
    for secs in (0, 30, 600):
        quiet.simulator.add_mail(subject=str(secs), received_ago_secs=secs, **HERE)
    assert await subjects(quiet, **LIST) == ["0", "30", "600"]
    assert await subjects(quiet, sortBy="createTime", sortOrder="asc") == ["600", "30", "0"]
    assert await subjects(quiet, start=api_time(clock.now - 60)) == ["0", "30"]
    assert await subjects(quiet, end=api_time(clock.now - 60)) == ["600"]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("ALL", "given", True),
        ("subject", "MAIL", True),
        ("fromAddress", "partner", True),
        ("toAddress", "partner", False),
        ("remoteIp", "192.0.2", True),
        ("info", "scan", False),
    ],
)
async def test_search_by(quiet: Client, name: str, value: str, found: bool) -> None:
    """`searchBy` looks into one field, or into all."""
    quiet.simulator.add_mail(**HERE)
    assert found == bool(await subjects(quiet, searchBy={"fieldName": name, "value": value}))
