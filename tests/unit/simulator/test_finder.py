"""The message finder: filters, window, paging and rows."""

import dataclasses
from typing import Any

import pytest

from mcwatch.simulator import FinderRules, Shape, SimulatorConfig
from mcwatch.simulator.config import EmptyStyle
from tests.unit.simulator.client import FINDER, TO_CORP, Client, FakeClock, api_time
from tests.unit.simulator.conftest import Start

QUIET = SimulatorConfig.quiet()


async def subjects(client: Client, **item: object) -> list[str]:
    """Search and return what was found."""
    return [row["subject"] for row in (await client.call(FINDER, item)).rows]


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"start": "2026-01-05T09:00:00+0000"},
        {"route": ["inbound"]},
        {"status": ["held"]},
        {"advancedTrackAndTraceOptions": {}},
        {"advancedTrackAndTraceOptions": {"from": " "}},
    ],
)
async def test_needs_a_filter(quiet: Client, item: dict[str, Any]) -> None:
    """A window, a route or a blank text is no filter."""
    answer = await quiet.call(FINDER, item)
    assert (answer.status, answer.code) == (400, "err_validation_at_least_one_not_null")


async def test_plain_window(start: Start) -> None:
    """A tenant can be simulated that needs no filter."""
    client = await start(dataclasses.replace(QUIET, rules=FinderRules(plain_window=True)))
    client.simulator.add_mail(subject="a", sender="x@a.example", to=["y@b.example"])
    assert await subjects(client) == ["a"]


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"messageId": "<1@x>", **TO_CORP}, "err_validation_value_not_allowed"),
        ({"messageId": ""}, "err_validation_blank"),
        ({"advancedTrackAndTraceOptions": {"from": "a.example", "to": ""}}, "err_validation_blank"),
        ({"advancedTrackAndTraceOptions": {"from": 7}}, "err_validation_value_not_allowed"),
        ({"start": "yesterday", **TO_CORP}, "err_validation_value_not_allowed"),
        ({"route": ["sideways"], **TO_CORP}, "err_validation_value_not_allowed"),
        ({"status": ["delivered"], **TO_CORP}, "err_validation_value_not_allowed"),
    ],
)
async def test_validation(quiet: Client, item: dict[str, Any], code: str) -> None:
    """Bad fields answer 400, nested, with the item as key."""
    answer = await quiet.call(FINDER, item)
    assert (400, code, item) == (answer.status, answer.code, answer.content["fail"][0]["key"])


@pytest.mark.parametrize("item", [(), ({}, {})])
async def test_one_item_only(quiet: Client, item: tuple[dict[str, Any], ...]) -> None:
    """API 2.0 takes exactly one item."""
    assert (await quiet.call(FINDER, *item)).status == 400


async def test_signed_calls_take_several_items(quiet: Client) -> None:
    """API 1.0 answers item by item, failures beside results."""
    quiet.simulator.add_mail()
    answer = await quiet.call_signed(FINDER, TO_CORP, {})
    assert (answer.status, len(answer.content["data"]), answer.code) == (200, 1, "err_validation_at_least_one_not_null")


@pytest.mark.parametrize(
    ("days", "status_secs", "refused"), [(30, 0, True), (30, 1, False), (31, 0, True), (28, 0, False)]
)
async def test_history(quiet: Client, clock: FakeClock, days: int, status_secs: int, refused: bool) -> None:
    """A start 30 days back or more answers 200 with empty data and a nested failure."""
    begin = api_time(clock.now - days * 86_400 + status_secs)
    answer = await quiet.call(FINDER, {"start": begin, **TO_CORP})
    assert answer.status == 200
    if refused:
        assert (answer.content["data"], answer.code) == ([], "err_track_and_trace_invalid_start_date")
    else:
        assert answer.content["fail"] == []


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"from": "news.example"}, True),
        ({"from": "NEWS.example"}, True),
        ({"from": "bounce.example"}, True),
        ({"from": "amy@news.example"}, True),
        ({"from": "ben@news.example"}, False),
        ({"from": "mail.news.example"}, False),
        ({"from": "example"}, False),
        ({"to": "mail.corp.example"}, True),
        ({"to": "corp.example"}, False),
        ({"to": "zoe@mail.corp.example"}, True),
        ({"subject": "UPDATE"}, True),
        ({"senderIP": "192.0.2.25"}, True),
        ({"senderIP": "192.0.2.2"}, False),
        ({"url": "www.news.example"}, True),
        ({"to": "mail.corp.example", "from": "news.example"}, True),
        ({"to": "mail.corp.example", "from": "other.example"}, False),
    ],
)
async def test_filters(quiet: Client, options: dict[str, str], found: bool) -> None:
    """Domains match exactly, without subdomains; the sender matches in header or envelope; all filters must match."""
    quiet.simulator.add_mail(
        sender="x@bounce.example",
        header_from="amy@news.example",
        to=["zoe@mail.corp.example"],
        subject="Quarter update",
    )
    assert found == bool(await subjects(quiet, advancedTrackAndTraceOptions=options))


async def test_message_id(quiet: Client) -> None:
    """The Message-ID finds its mail, though no answer shows it."""
    first, _ = quiet.simulator.add_mail(subject="{n}", count=2)
    assert await subjects(quiet, messageId=first.message_id) == ["0"]


async def test_route_and_status_filter(quiet: Client) -> None:
    """Routes and statuses narrow a search down; `all` does not."""
    quiet.simulator.add_mail(subject="in")
    quiet.simulator.add_mail(subject="int", route="internal", life=[[0, "held"]])
    assert await subjects(quiet, route=["inbound"], **TO_CORP) == ["in"]
    assert await subjects(quiet, status=["held"], **TO_CORP) == ["int"]
    assert len(await subjects(quiet, route=["all"], **TO_CORP)) == 2


@pytest.mark.parametrize(("inclusive", "expected"), [(True, ["2", "1"]), (False, ["1"])])
async def test_bounds(start: Start, clock: FakeClock, inclusive: bool, expected: list[str]) -> None:
    """The window tests `received` and holds both of its bounds, unless configured otherwise."""
    client = await start(dataclasses.replace(QUIET, rules=FinderRules(end_inclusive=inclusive)))
    begin = clock.now
    for number in range(4):
        clock.now = begin + number
        client.simulator.add_mail(subject=str(number))
    window = {"start": api_time(begin + 1), "end": api_time(begin + 2).replace("+0000", "Z")}
    assert expected == await subjects(client, **window, **TO_CORP)


async def test_order(start: Start, clock: FakeClock) -> None:
    """Rows come newest first, across minutes, or oldest first if configured."""
    for newest_first in (True, False):
        rules = FinderRules(newest_first=newest_first)
        client = await start(dataclasses.replace(QUIET, rules=rules))
        for secs in (500, 70, 0, 130):
            client.simulator.add_mail(subject=f"{secs:03d}", received_ago_secs=secs)
        assert sorted(await subjects(client, **TO_CORP)) == ["000", "070", "130", "500"]
        assert (await subjects(client, **TO_CORP) == ["000", "070", "130", "500"]) is newest_first


async def test_paging(start: Start) -> None:
    """Pages follow each other by token, `next` is absent on the last, and the cap cuts the size silently."""
    client = await start(dataclasses.replace(QUIET, finder=Shape(page_cap=4, page_default=4)))
    client.simulator.add_mail(count=10, subject="{n}")
    seen, last, token = [], None, None
    for size in (4, 4, 2):
        answer = await client.call(FINDER, TO_CORP, pageSize=9999, pageToken=token)
        seen += [row["subject"] for row in answer.rows]
        assert (size, 4, 10) == (len(answer.rows), answer.pagination["pageSize"], answer.pagination["totalCount"])
        last, token = token, answer.pagination.get("next")
    assert token is None
    answer = await client.call(FINDER, TO_CORP, pageToken=last)
    assert {str(number) for number in range(10)} == set(seen)
    previous = await client.call(FINDER, TO_CORP, pageToken=answer.pagination["previous"])
    assert seen[4:8] == [row["subject"] for row in previous.rows]


async def test_page_tokens_bind_the_query(start: Start) -> None:
    """A corrupt token, or one of another query, is refused as xdk_failure."""
    client = await start(dataclasses.replace(QUIET, finder=Shape(page_cap=1)))
    client.simulator.add_mail(count=2)
    token = (await client.call(FINDER, TO_CORP)).pagination["next"]
    other = {"advancedTrackAndTraceOptions": {"from": "partner.example"}}
    for item, text in ((other, token), (TO_CORP, token[:-6]), (TO_CORP, "no token")):
        answer = await client.call(FINDER, item, pageToken=text)
        assert (answer.status, answer.code) == (200, "xdk_failure")


async def test_unknown_keys_are_ignored(quiet: Client) -> None:
    """`page_size` is no key of the API, so the default size applies."""
    answer = await quiet.call(FINDER, {"nonsense": 1, **TO_CORP}, page_size=3)
    assert (answer.status, answer.pagination["pageSize"]) == (200, 100)


@pytest.mark.parametrize(
    ("shape", "meta"),
    [
        (Shape(page_cap=1, pagination="absent"), {"status": 200}),
        (Shape(page_cap=1, pagination="zero"), {"status": 200, "pagination": {"pageSize": 0}}),
        (
            Shape(page_cap=1, next_token=False, total_count=False),
            {"status": 200, "pagination": {"pageSize": 1}},
        ),
    ],
)
async def test_shapes(start: Start, shape: Shape, meta: dict[str, Any]) -> None:
    """A truncated answer may be silent about it in each of the known ways."""
    client = await start(dataclasses.replace(QUIET, finder=shape))
    client.simulator.add_mail(count=2)
    answer = await client.call(FINDER, TO_CORP)
    assert (1, meta) == (len(answer.rows), answer.content["meta"])


@pytest.mark.parametrize(("empty", "data"), [("rows", [{"trackedEmails": []}]), ("data", [])])
async def test_empty(start: Start, empty: EmptyStyle, data: list[Any]) -> None:
    """Nothing found is an empty list inside, or no data at all."""
    client = await start(dataclasses.replace(QUIET, finder=Shape(empty=empty)))
    answer = await client.call(FINDER, TO_CORP)
    assert (200, data, []) == (answer.status, answer.content["data"], answer.content["fail"])


async def test_row(quiet: Client) -> None:
    """A row has the documented keys under the finder's names."""
    quiet.simulator.add_mail(life=[{"after_secs": 0, "status": "held", "info": "Message Hold Applied"}])
    (row,) = (await quiet.call(FINDER, TO_CORP)).rows
    assert 300 <= len(row.pop("id")) <= 364
    expected = {
        "status": "held",
        "info": "Message Hold Applied",
        "received": "2026-01-05T09:30:00+0000",
        "sent": "2026-01-05T09:30:00+0000",
        "fromEnv": {"emailAddress": "sender@partner.example"},
        "fromHdr": {"emailAddress": "sender@partner.example"},
        "to": [{"displayableName": "", "emailAddress": "amy.adams@corp.example"}],
        "subject": "Given mail",
        "senderIP": "192.0.2.25",
        "route": "inbound",
        "attachments": False,
        "spamScore": 0,
        "detectionLevel": "",
    }
    assert expected == row


async def test_rejected_row(quiet: Client) -> None:
    """A row rejected at the envelope has no attachments key and no header address."""
    quiet.simulator.add_mail(life=[[0, "rejected"]])
    (row,) = (await quiet.call(FINDER, TO_CORP)).rows
    assert "attachments" not in row
    assert row["fromHdr"]["emailAddress"] == ""


async def test_life(quiet: Client, clock: FakeClock) -> None:
    """A mail appears late, gets another id with each status, keeps it otherwise, and can go."""
    quiet.simulator.add_mail(life=[[5, "held"], [60, "archived"], [90, "gone"]])
    seen = []
    for _ in range(10):
        seen.append([(row["id"], row["status"]) for row in (await quiet.call(FINDER, TO_CORP)).rows])
        clock.now += 10
    assert [len(rows) for rows in seen] == [0, 1, 1, 1, 1, 1, 1, 1, 1, 0]
    assert [status for _, status in dict.fromkeys(row for rows in seen for row in rows)] == ["held", "archived"]


async def test_unstable_ids(start: Start) -> None:
    """A tenant can be simulated whose ids differ at each answer."""
    client = await start(dataclasses.replace(QUIET, rules=FinderRules(stable_ids=False)))
    client.simulator.add_mail()
    first, second = [(await client.call(FINDER, TO_CORP)).rows[0]["id"] for _ in range(2)]
    assert first != second
