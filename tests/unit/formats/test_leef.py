"""QRadar LEEF, read back by a strict parser (leef_parser.py) that knows IBM's guide and not the renderer."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from mcwatch.formats import FormatConfig
from mcwatch.formats.leef import PLACES, LeefFormatConfig
from tests.unit.formats import native
from tests.unit.formats.leef_parser import LeefLine, carried, parse

DELIMITERS = {"\t": "x09", "^": "^", "\x1f": "x1f"}
"""Delimiters, and how they are written in the configuration."""


def _line(event: dict[str, Any], **options: str) -> LeefLine:
    return parse(LeefFormatConfig.model_validate(options).build().render(native.lines(event))[0])


def _attributes(**message: object) -> Mapping[str, str]:
    return _line(native.bare(**message)).attributes


_ATTRIBUTES = "devTime=Jan 05 2026 09:29:02.000 GMT^devTimeFormat=MMM dd yyyy HH:mm:ss.SSS z^sev=3"


@pytest.mark.parametrize(
    "line",
    [
        f"LEEF:1.0|a|b|c|d|^|{_ATTRIBUTES}",
        f"LEEF:2.0|a|b|c|^|{_ATTRIBUTES}",
        f"LEEF:2.0|a||c|d|^|{_ATTRIBUTES}",
        f"LEEF:2.0|a|b|c|d|^^|{_ATTRIBUTES}",
        f"LEEF:2.0|a|b|c|d|x09|{_ATTRIBUTES}",
        f"LEEF:2.0|a|b|c|d|^|{_ATTRIBUTES}^",
        f"LEEF:2.0|a|b|c|d|^|{_ATTRIBUTES}^x",
        f"LEEF:2.0|a|b|c|d|^|{_ATTRIBUTES}^x=1^x=2",
        f"LEEF:2.0|a|b|c|d|^|{_ATTRIBUTES}^x=\t",
        f"LEEF:2.0|a|b|c|d|^|{_ATTRIBUTES}^src=x",
        f"LEEF:2.0|a|b|c|d|^|{_ATTRIBUTES.replace('sev=3', 'sev=0')}",
        f"LEEF:2.0|a|b|c|d|^|{_ATTRIBUTES.replace('Jan', '01')}",
    ],
)
def test_the_parser_is_strict(line: str) -> None:
    """What these tests read with refuses what IBM's guide does not allow."""
    with pytest.raises(ValueError, match=r"."):
        parse(line.encode())


def test_golden_file() -> None:
    """The bytes of every kind of event are as reviewed."""
    rendered = LeefFormatConfig().build().render(native.snapshot("json"))
    assert (native.SNAPSHOTS / "leef.txt").read_bytes().split(b"\n")[:-1] == list(rendered)


def test_golden_file_parses_back() -> None:
    """One valid line comes of every event, in order."""
    ids = [json.loads(event)["event_id"] for event in native.snapshot("json")]
    lines = (native.SNAPSHOTS / "leef.txt").read_bytes().split(b"\n")[:-1]
    assert ids == [parse(line).attributes["event_id"] for line in lines]


def test_header() -> None:
    """The header names the gateway, the kind as the event's id, and the tab by its code."""
    assert {
        "version": "LEEF:2.0",
        "vendor": "Mimecast",
        "product": "Email Security",
        "product_version": "1",
        "event_id": "message.seen",
        "delimiter": "x09",
    } == _line(native.FULL).header


def test_a_kind_nobody_has_heard_of_cannot_break_the_header() -> None:
    """LEEF's header has no escapes, so a pipe in a kind of a later schema becomes a space."""
    assert _line({**native.FULL, "kind": "message.x|y\n"}).header["event_id"] == "message.x y "


def test_every_key_is_declared() -> None:
    """A full event's keys are the declared ones and the time's format; a sender's IP has one of two."""
    declared = {place for places in PLACES.values() for place in places.split(", ") if place}
    keys = _line(native.FULL).attributes.keys()
    assert declared - {"EventID (header)", "sender_ip"} | {"devTimeFormat"} == keys


def test_what_is_missing_stays_missing() -> None:
    """An event that says nothing has no keys but those that every event has."""
    always = {"devTime", "devTimeFormat", "sev", "event_id", "accountName", "source", "observed_at", "message_key"}
    assert always == _line(native.BARE).attributes.keys()


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("text", [text for text in native.HOSTILE_TEXTS if text])
def test_hostile_text_comes_back(text: str, delimiter: str) -> None:
    """Every text comes back as it was, but for control characters, line separators and the delimiter."""
    attributes = _line(native.hostile(text), delimiter=DELIMITERS[delimiter]).attributes
    for key in ("subject", "info", "cat", "mimecast_id", "route", "detection_level", "priority", "from_header_name"):
        assert carried(text, delimiter) == attributes[key]
    assert carried(f"{text}@evil.example", delimiter) == attributes["usrName"] == attributes["from_header"]
    assert {text: text, "nested": {text: [text]}} == json.loads(attributes["extra"])
    to = [{"address": f"{text}@evil.example", "name": text}, {"address": text}, {"name": text}]
    assert to == json.loads(attributes["to_json"])


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_hostile_accounts_and_queues_come_back(delimiter: str) -> None:
    """What an operator or a later API may name is cleaned like what a sender writes."""
    text = "a^b\tc=\nd"
    event = {**native.FULL, "account": text, "queue": {**native.FULL["queue"], "type": text}}
    attributes = _line(event, delimiter=DELIMITERS[delimiter]).attributes
    assert carried(text, delimiter) == attributes["accountName"] == attributes["queue_type"]


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_a_subject_cannot_forge_an_attribute(delimiter: str) -> None:
    """A subject with the delimiter in it stays the subject."""
    subject = "x\tusrName=root^cat=accepted"
    attributes = _line(native.bare(subject=subject), delimiter=DELIMITERS[delimiter]).attributes
    assert {**_attributes(), "subject": carried(subject, delimiter)} == attributes


@pytest.mark.parametrize(
    ("option", "character", "header"),
    [
        ("x09", "\t", "x09"),
        ("0x09", "\t", "x09"),
        ("x1F", "\x1f", "x1f"),
        ("^", "^", "^"),
        ("x5E", "^", "^"),
        ("0x005e", "^", "^"),
        (";", ";", ";"),
    ],
)
def test_delimiters(option: str, character: str, header: str) -> None:
    """A delimiter is given as itself or by its code, and declared in the header."""
    payload = LeefFormatConfig(delimiter=option).build().render(native.lines(native.FULL))[0]
    before = f"LEEF:2.0|Mimecast|Email Security|1|message.seen|{header}|devTime="
    assert payload.startswith(before.encode())
    assert f"{character}sev=3{character}".encode() in payload
    assert parse(payload).attributes == _line(native.FULL).attributes


@pytest.mark.parametrize(
    "delimiter", ["", "\n", "x0a", "x0D", "x00", "x85", "|", "=", "a", "7", " ", ",", '"', "\\", "x", "xZZ", "^^", "é"]
)
def test_delimiters_that_would_break_values_are_refused(delimiter: str) -> None:
    """Letters, digits, line ends, and what keys, times, addresses, the header or JSON are made of, delimit nothing."""
    with pytest.raises(ValidationError, match="write x09"):
        LeefFormatConfig(delimiter=delimiter)


@pytest.mark.parametrize(
    ("sender_ip", "key"),
    [("198.51.100.7", "src"), ("2001:db8::25", "src"), ("4" * 32, "sender_ip"), ("198.51.100.7 x", "sender_ip")],
)
def test_only_addresses_stand_in_src(sender_ip: str, key: str) -> None:
    """Both kinds of IP address go to src, a digest or anything else to a key of text."""
    attributes = _attributes(sender_ip=sender_ip)
    assert {key: sender_ip} == {name: attributes[name] for name in ("src", "sender_ip") if name in attributes}


def test_no_identities_are_claimed() -> None:
    """QRadar is not told that a sender's address or name is an asset."""
    assert not [key for key in _line(native.FULL).attributes if key.startswith("ident")]


def test_recipients_are_joined() -> None:
    """Several recipients stand in one attribute with commas between them, and nothing is said twice."""
    attributes = _attributes(to=[{"address": "amy@corp.example"}, {"address": "bo@corp.example"}])
    assert attributes["to"] == "amy@corp.example,bo@corp.example"
    assert "to_json" not in attributes


def test_recipients_that_cannot_be_joined_are_spelled_out() -> None:
    """Names, commas inside addresses and missing addresses are kept, as JSON."""
    to = [{"address": '"a,b"@corp.example', "name": "A^B\t"}, {"name": "Nobody"}]
    assert to == json.loads(_attributes(to=to)["to_json"])


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-01-05T09:29:02Z", datetime(2026, 1, 5, 9, 29, 2, tzinfo=UTC)),
        ("2026-12-31T23:59:59.1Z", datetime(2026, 12, 31, 23, 59, 59, 100_000, tzinfo=UTC)),
        ("2026-06-05T09:29:02.120999Z", datetime(2026, 6, 5, 9, 29, 2, 120_000, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_device_time(at: str, expected: datetime) -> None:
    """The device time is the event's, to the millisecond, in the pattern that devTimeFormat gives."""
    assert expected == _line({**native.BARE, "occurred_at": at}).at


@pytest.mark.parametrize(("status", "sev"), [("archived", "1"), ("held", "5"), ("rejected", "6"), ("odd", "3")])
def test_severity_goes_by_status(status: str, sev: str) -> None:
    """What was stopped asks for more of a look than what passed."""
    attributes = _attributes(status=status)
    assert (status, sev) == (attributes["cat"], attributes["sev"])


def test_redacted_events_stay_valid() -> None:
    """Digests and bare domains stand where the addresses were, an IP's digest where text may stand."""
    attributes = _line(native.redacted()).attributes
    assert (native.digest("envelope"), "two.example") == (attributes["usrName"], attributes["from_header"])
    assert native.digest("first") + ",four.example" == attributes["to"]
    assert native.digest("ip") == attributes["sender_ip"]
    assert not {"src", "subject", "info", "extra", "previous"} & attributes.keys()


def test_zero_and_false_are_said() -> None:
    """A score of 0 and a mail without attachments are answers, not gaps."""
    attributes = _attributes(spam_score=0, size=0, attempts=0, attachments=False)
    assert ["0", "0", "0", "false"] == [attributes[key] for key in ("spam_score", "size", "attempts", "attachments")]


def test_is_chosen_by_its_type() -> None:
    """The union reads ``type: leef`` and builds a format of plain text in UTF-8."""
    config = TypeAdapter(FormatConfig).validate_python({"type": "leef", "delimiter": "^"})
    assert config.build().content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize("option", ["vendor", "product", "version"])
@pytest.mark.parametrize("value", ["", "a|b", "a\tb", "é", "x" * 64])
def test_header_options_cannot_break_the_header(option: str, value: str) -> None:
    """LEEF's header has no escapes: a pipe, a tab or what is not ASCII is refused when the configuration is read."""
    with pytest.raises(ValidationError):
        LeefFormatConfig.model_validate({option: value})
