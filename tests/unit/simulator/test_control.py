"""The control endpoints and the ledger."""

from typing import Any

import msgspec

from mcwatch.simulator import Fault
from tests.unit.simulator.client import DOMAINS, FINDER, QUEUE, TO_CORP, Client, FakeClock

LIST = {"type": "processing"}


async def ledger(client: Client, query: str = "") -> list[dict[str, Any]]:
    """Read the ledger's lines."""
    answer = await client.request("GET", f"/_simulator/ledger{query}")
    return [msgspec.json.decode(line) for line in answer.body.splitlines()]


async def test_info(quiet: Client) -> None:
    """The credentials are public."""
    content = (await quiet.request("GET", "/_simulator/info")).content
    assert quiet.simulator.url == content["base_url"]
    (account,) = content["accounts"]
    assert account["oauth2"] == {"client_id": "demo", "client_secret": "demo-secret"}
    assert {"app_id", "app_key", "access_key", "secret_key", "user_name", "password"} == set(account["hmac"])


async def test_ledger_counts_rows_by_state(quiet: Client, clock: FakeClock) -> None:
    """Each row is one line per state, with when it was first shown and how often."""
    quiet.simulator.add_mail(life=[[0, "held"], [60, "archived"]])
    began = clock.now
    rows = []
    for _ in range(3):
        rows = (await quiet.call(FINDER, TO_CORP)).rows
        clock.now += 40
    first, second = await ledger(quiet)
    assert ("held", 2, began, began + 40) == (
        first["status"],
        first["times_shown"],
        first["first_shown_at"],
        first["last_shown_at"],
    )
    expected = {
        "account": "demo",
        "source": "message_finder",
        "id": rows[0]["id"],
        "received": "2026-01-05T09:30:00Z",
        "status": "archived",
        "info": None,
        "queue": None,
        "attempts": None,
        "locked_until": None,
        "raw": None,
        "odd": False,
        "first_shown_at": began + 80,
        "last_shown_at": began + 80,
        "times_shown": 1,
    }
    assert expected == second


async def test_ledger_of_the_queue(quiet: Client) -> None:
    """Queue entries are kept with queue, attempts, info and lock, whatever their spelling."""
    step = {"after_secs": 0, "queue": "processing", "attempts": 3, "info": "scan", "locked_for_secs": 60}
    quiet.simulator.add_mail(life=[step], oddity="numbers_as_text")
    (row,) = (await quiet.call(QUEUE, LIST)).rows
    assert row["attempts"] == "3"
    (line,) = await ledger(quiet, "?account=demo")
    shown = (line["source"], line["queue"], line["attempts"], line["info"], line["locked_until"])
    assert shown == ("processing_queue", "processing", 3, "scan", "2026-01-05T09:31:00Z")
    assert await ledger(quiet, "?account=other") == []


async def test_ledger_as_json_and_cleared(quiet: Client) -> None:
    """The ledger comes as one JSON list on request, and can be emptied."""
    quiet.simulator.add_mail(count=2)
    await quiet.call(FINDER, TO_CORP)
    answer = await quiet.request("GET", "/_simulator/ledger?format=json")
    assert len(answer.content) == 2
    await quiet.request("DELETE", "/_simulator/ledger")
    assert await ledger(quiet) == []


async def test_stats(quiet: Client) -> None:
    """Requests, rows, tokens, faults and searches are counted."""
    quiet.simulator.add_mail(count=2)
    quiet.simulator.script(Fault("throttle", endpoint="queue"))
    for path, item in ((FINDER, TO_CORP), (FINDER, TO_CORP), (QUEUE, LIST)):
        await quiet.call(path, item)
    content = (await quiet.request("GET", "/_simulator/stats")).content
    expected = {
        "requests_total": 4,
        "requests": {"token": 1, "finder": 2, "queue": 1},
        "statuses": {"200": 3, "429": 1},
        "codes": {"too_many_requests": 1},
        "rows_shown": 4,
        "ledger_size": 2,
        "tokens_issued": 1,
        "throttled": 1,
        "searches": {"demo": 2},
        "faults_total": 1,
        "faults": {"throttle": 1},
    }
    assert expected == content


async def test_faults_over_http(quiet: Client) -> None:
    """Faults are scripted by name or as objects, and dropped again."""
    body = {"faults": ["html_ok", {"kind": "error_html", "status": 502, "times": 2}]}
    assert (await quiet.request("POST", "/_simulator/faults", json=body)).content == {"pending": 3}
    statuses = [(await quiet.call(QUEUE, LIST)).status for _ in range(2)]
    assert statuses == [200, 502]
    assert (await quiet.request("DELETE", "/_simulator/faults")).content == {"pending": 0}
    assert (await quiet.call(QUEUE, LIST)).status == 200


async def test_profile_over_http(quiet: Client) -> None:
    """The profile can be changed while running; bad names are refused."""
    for body, status in (
        ({"profile": "chaos"}, 200),
        ({"profile": "calm"}, 400),
        ({"faults": ["hiccup"]}, 400),
        ({"faults": [{"kind": "stall", "endpoint": "x"}]}, 400),
    ):
        assert status == (await quiet.request("POST", "/_simulator/faults", json=body)).status


async def test_mail_over_http(quiet: Client, clock: FakeClock) -> None:
    """A given mail lives the given life, in both feeds."""
    body = {
        "from": "boss@news.example",
        "to": ["amy@corp.example"],
        "subject": "no {n}",
        "count": 2,
        "life": [[0, "processing"], [30, "left"], [30, "accepted"]],
    }
    answer = await quiet.request("POST", "/_simulator/mail", json=body)
    assert len(answer.content["added"]) == 2
    assert sorted(row["subject"] for row in (await quiet.call(QUEUE, LIST)).rows) == ["no 0", "no 1"]
    clock.now += 30
    assert (await quiet.call(QUEUE, LIST)).rows == []
    assert len((await quiet.call(FINDER, TO_CORP)).rows) == 2


async def test_bad_mail_over_http(quiet: Client) -> None:
    """A mail that cannot be read is refused with the reason."""
    for body in ({"life": "long"}, {"colour": "red"}, {"account": "nobody"}, {"oddity": "very"}):
        answer = await quiet.request("POST", "/_simulator/mail", json=body)
        assert answer.status == 400
        assert answer.content["error"]
    assert (await quiet.request("POST", "/_simulator/mail", data=b"{")).status == 400


async def test_stop_mail(quiet: Client, clock: FakeClock) -> None:
    """The answer says when the queue will be empty, null where a mail never leaves."""
    quiet.simulator.add_mail(life=[[0, "processing"], [30, "left"]])
    content = (await quiet.request("POST", "/_simulator/stop-mail")).content
    assert {"stopped_at": clock.now, "queue_empty_at": clock.now + 30} == content
    quiet.simulator.add_mail(life=[[0, "processing"]])
    content = (await quiet.request("POST", "/_simulator/stop-mail")).content
    assert None is content["queue_empty_at"]


async def test_visible_is_what_could_be_shown(quiet: Client) -> None:
    """All rows of both feeds are listed as the ledger would list them, without counting as shown."""
    quiet.simulator.add_mail(life=[[0, "processing"], [0, "accepted"]])
    quiet.simulator.add_mail(life=[[0, "bulk_processing"]])
    answer = await quiet.request("GET", "/_simulator/visible?account=demo&format=json")
    assert len(quiet.simulator.ledger) == 0
    await quiet.call(FINDER, TO_CORP)
    for queue in ("processing", "bulk_processing"):
        await quiet.call(QUEUE, {"type": queue})
    shown = {sighting for sighting, _ in quiet.simulator.ledger.entries()}
    assert set(quiet.simulator.visible()) == shown
    assert {line["id"] for line in answer.content} == {sighting.id for sighting in shown}
    assert len(shown) == 3


async def test_domains_over_http(quiet: Client) -> None:
    """The list of domains can be changed while running, odd rows included; bad requests leave it."""
    body: dict[str, object] = {"account": "demo", "domains": ["new.example", None, {"domain": 7}]}
    assert (await quiet.request("POST", "/_simulator/domains", json=body)).content == {"listed": 3}
    for bad in ({"account": "nobody", "domains": []}, {"domains": "new.example"}, {}):
        answer = await quiet.request("POST", "/_simulator/domains", json=bad)
        assert answer.status == 400
        assert answer.content["error"]
    first, *odd = (await quiet.call(DOMAINS, {})).content["data"]
    assert first == {
        "id": "eNpDomain1",
        "domain": "new.example",
        "sendOnly": False,
        "local": True,
        "inboundType": "any",
    }
    assert odd == [None, {"domain": 7}]
