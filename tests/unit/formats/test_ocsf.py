"""Open Cybersecurity Schema Framework."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mcwatch.formats.ocsf import OcsfFormatConfig
from tests.unit.formats import native
from tests.unit.formats.ocsf_schema import DATA, captions, class_schema

VALIDATOR = Draft202012Validator(class_schema())


def render(event: dict[str, Any]) -> dict[str, Any]:
    """Return the OCSF event of a native one."""
    activity: dict[str, Any] = json.loads(OcsfFormatConfig().build().render(native.lines(event))[0])
    return activity


def problems(activity: dict[str, Any]) -> list[str]:
    """Return what in an event is not as the published class has it."""
    return [f"{error.json_path}: {error.message[:200]}" for error in VALIDATOR.iter_errors(activity)]


def test_golden_file() -> None:
    """The bytes are those that were once looked at and found right."""
    assert native.snapshot("ocsf") == OcsfFormatConfig().build().render(native.snapshot("json"))


@pytest.mark.parametrize("event", native.EVENTS.values(), ids=native.EVENTS)
def test_events_are_ocsf(event: dict[str, Any]) -> None:
    """Every event is valid against the published class, which allows no attribute that it does not name."""
    assert [] == problems(render(event))


def test_golden_file_is_ocsf() -> None:
    """So are the events of the golden file."""
    assert [] == [problem for line in native.snapshot("ocsf") for problem in problems(json.loads(line))]


def test_schema_refuses_what_is_not_ocsf() -> None:
    """The check that the events pass is one that can fail."""
    activity = render(native.FULL)
    activity["email"]["sbject"] = "x"
    activity["time"] = "2026-01-05T09:29:02Z"
    activity["type_uid"] = 400977
    activity["src_endpoint"]["ip"] = native.digest("ip")
    del activity["direction_id"]
    del activity["email"]["from"], activity["email"]["to"]
    assert 6 == len(problems(activity))


def test_ordinary_addresses_match_the_published_pattern() -> None:
    """The addresses of ordinary mail are what the schema calls an e-mail address."""
    pattern = re.compile(DATA["types"]["email_t"]["regex"])
    activity = render(native.FULL)
    for address in (activity["from"], activity["email"]["from"], *activity["email"]["to"]):
        assert pattern.search(address)


@pytest.mark.parametrize("event", native.EVENTS.values(), ids=native.EVENTS)
def test_numbers_and_their_captions_agree(event: dict[str, Any]) -> None:
    """Beside a number stands its published caption, beside 99 the source's own word, and 0 stands alone."""
    activity = render(event)
    for name in ("status", "direction", "disposition"):
        number, text = activity.get(f"{name}_id"), activity.get(name)
        if number == 99:
            assert event["message"]["status" if name == "status" else "route"] == text
        else:
            assert text == (captions(f"{name}_id")[number] if number else None)


def test_version_is_that_of_the_schema() -> None:
    """An event names the version that it was checked against."""
    assert DATA["version"] == render(native.BARE)["metadata"]["version"]


def test_bare_event() -> None:
    """An event that says nothing of its mail says so: direction unknown, and no recipient known."""
    assert {
        "activity_id": 4,
        "category_uid": 4,
        "class_uid": 4009,
        "type_uid": 400904,
        "time": 1767603661101,
        "severity_id": 1,
        "direction_id": 0,
        "metadata": {
            "version": "1.7.0",
            "product": {"vendor_name": "Mimecast", "name": "Email Security"},
            "uid": native.BARE["event_id"],
            "event_code": "message.seen",
            "tenant_uid": "acme-account",
            "source": "message_finder",
            "log_version": "mcwatch.event/1",
            "logged_time": 1767603722202,
        },
        "email": {"to": []},
        "message_trace_uid": native.BARE["message"]["key"],
    } == render(native.BARE)


@pytest.mark.parametrize(
    ("kind", "route", "activity"),
    [("message.seen", "inbound", 2), ("message.seen", "outbound", 1), ("message.seen", "internal", 4)]
    + [(kind, "inbound", 4) for kind in native.KINDS[1:]],
)
def test_activity(kind: str, route: str, activity: int) -> None:
    """Mail first seen is received or sent; everything later follows it on its way."""
    rendered = render({**native.full(route=route), "kind": kind})
    assert (activity, 400900 + activity) == (rendered["activity_id"], rendered["type_uid"])


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("archived", (1, 1, "Allowed", 1)),
        ("rejected", (2, 2, "Blocked", 2)),
        ("held", (99, 2, "Quarantined", 2)),
        ("deferred", (99, 1, "Delayed", 1)),
        ("bounced", (2, None, None, 2)),
        ("delivery", (99, None, None, 1)),
    ],
)
def test_status(status: str, expected: tuple[int, int | None, str | None, int]) -> None:
    """A status says whether the mail got through, what was done to it, and whether that asks for a look."""
    activity = render(native.full(status=status))
    names = ("status_id", "action_id", "disposition", "severity_id")
    assert expected == tuple(activity.get(name) for name in names)
    assert ("security_control" in activity["metadata"].get("profiles", [])) == ("disposition" in activity)
    assert status == activity["status_code"]


@pytest.mark.parametrize(("route", "number"), [("inbound", 1), ("outbound", 2), ("internal", 3), ("external", 99)])
def test_direction(route: str, number: int) -> None:
    """Routes are directions; one that the schema does not know is named."""
    assert number == render(native.full(route=route))["direction_id"]


@pytest.mark.parametrize(
    "text",
    ["198.51.100.256", "198.51.100.7\n", "fe80::1%eth0", native.digest("ip"), "", "x", "1111:" * 6 + "255.255.255.255"],
)
def test_invalid_ip_is_unmapped(text: str) -> None:
    """What is no address, or longer than the schema allows, is kept under its native name."""
    activity = render(native.full(sender_ip=text))
    assert "src_endpoint" not in activity
    assert text == activity["unmapped"]["message"]["sender_ip"]


def test_one_end_is_enough() -> None:
    """Where the sender is known, nothing is said of recipients that are not; an empty address is none."""
    assert {"from": "amy@corp.example"} == render(native.bare(from_header={"address": "amy@corp.example"}))["email"]
    assert {"to": []} == render(native.bare(from_header={"address": ""}))["email"]
    assert "from" not in render(native.bare(from_envelope={"address": ""}))


def test_mailboxes_hold_the_names() -> None:
    """Display names stand before their addresses, recipients in their order."""
    email = render(native.full(to=[*native.FULL["message"]["to"], {"address": None, "name": "Nobody"}]))["email"]
    assert "Header Name <header@two.example>" == email["from_mailbox"]
    assert ["First Name <first@three.example>", "second@four.example", "Nobody"] == email["to_mailboxes"]
    assert ["first@three.example", "second@four.example"] == email["to"]


def test_no_mailboxes_without_names() -> None:
    """Addresses alone are not repeated."""
    email = render(native.full(from_header={"address": "a@b.example"}, to=[{"address": "c@d.example"}]))["email"]
    assert {"from", "to"} == {name for name in email if name.startswith(("from", "to"))}


@pytest.mark.parametrize("text", native.HOSTILE_TEXTS)
def test_hostile_text_survives(text: str) -> None:
    """What attackers write is read back as they wrote it."""
    activity = render(native.hostile(text))
    assert text == activity["email"]["subject"]
    assert text == activity["metadata"]["original_event_uid"]
    assert f"{text}@evil.example" == activity["email"]["from"]
    assert text == activity["status_detail"]
    assert {text: text, "nested": {text: [text]}} == activity["unmapped"]["message"]["extra"]
