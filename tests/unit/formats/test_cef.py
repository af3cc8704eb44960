"""ArcSight CEF, read back by a strict parser (cef_parser.py) that knows the standard and not the renderer."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from mcwatch.formats import FormatConfig
from mcwatch.formats.cef import PLACES, CefFormatConfig
from tests.unit.formats import native
from tests.unit.formats.cef_parser import CefLine, carried, parse


def _line(event: dict[str, Any]) -> CefLine:
    return parse(CefFormatConfig().build().render(native.lines(event))[0])


def _extension(**message: object) -> Mapping[str, str]:
    return _line(native.bare(**message)).extension


@pytest.mark.parametrize(
    "line",
    [
        "CEF:1|a|b|c|d|e|5|msg=x",
        "CEF:0|a|b|c|d|5|msg=x",
        "CEF:0|a||c|d|e|5|msg=x",
        "CEF:0|a|b|c|d|e|11|msg=x",
        "CEF:0|a\\=|b|c|d|e|5|msg=x",
        "CEF:0|a|b|c|d|e|5|msg=x=y",
        "CEF:0|a|b|c|d|e|5|msg=x\\y",
        "CEF:0|a|b|c|d|e|5|msg=x\\",
        "CEF:0|a|b|c|d|e|5|msg=x\n",
        "CEF:0|a|b|c|d|e|5|msg=x msg=y",
        "CEF:0|a|b|c|d|e|5|subject=x",
        "CEF:0|a|b|c|d|e|5|cs1=x",
        "CEF:0|a|b|c|d|e|5|cs1Label=x",
        "CEF:0|a|b|c|d|e|5|src=2001:db8::25",
        "CEF:0|a|b|c|d|e|5|rt=2026-01-05T09:29:02Z",
        "CEF:0|a|b|c|d|e|5|deviceDirection=2",
        "CEF:0|a|b|c|d|e|5|",
    ],
)
def test_the_parser_is_strict(line: str) -> None:
    """What these tests read with refuses what the standard does not allow."""
    with pytest.raises(ValueError, match=r"."):
        parse(line.encode())


def test_golden_file() -> None:
    """The bytes of every kind of event are as reviewed."""
    rendered = CefFormatConfig().build().render(native.snapshot("json"))
    assert (native.SNAPSHOTS / "cef.txt").read_bytes().split(b"\n")[:-1] == list(rendered)


def test_golden_file_parses_back() -> None:
    """One valid line comes of every event, in order."""
    ids = [json.loads(event)["event_id"] for event in native.snapshot("json")]
    lines = (native.SNAPSHOTS / "cef.txt").read_bytes().split(b"\n")[:-1]
    assert ids == [parse(line).extension["externalId"] for line in lines]


def test_header() -> None:
    """The header names the gateway, the kind as the signature and a severity."""
    assert {
        "version": "0",
        "vendor": "Mimecast",
        "product": "Email Security",
        "device_version": "1",
        "class_id": "message.seen",
        "name": "Message seen",
        "severity": "5",
    } == _line(native.bare(status="held")).header


def test_header_escapes_pipes_and_backslashes_only() -> None:
    r"""A pipe and a backslash are escaped in the header, an equals sign is not."""
    payload = CefFormatConfig(vendor=r"A|B\C=D").build().render(native.lines(native.FULL))[0]
    assert payload.startswith(rb"CEF:0|A\|B\\C=D|")
    assert parse(payload).header["vendor"] == r"A|B\C=D"


def test_a_kind_nobody_has_heard_of_stays_in_the_header() -> None:
    """A kind of a later schema is escaped, and is its own name."""
    header = _line({**native.FULL, "kind": "message.x|y=z\n"}).header
    assert ("message.x|y=z ", "message.x|y=z ") == (header["class_id"], header["name"])


@pytest.mark.parametrize(
    ("status", "kind", "severity"),
    [
        ("archived", "message.seen", "1"),
        ("deferred", "message.seen", "3"),
        ("bounced", "message.changed", "4"),
        ("held", "message.seen", "5"),
        ("rejected", "message.changed", "6"),
        ("never heard of", "message.seen", "3"),
        (None, "message.seen", "3"),
        (None, "queue.entered", "1"),
        (None, "queue.changed", "2"),
        (None, "queue.left", "1"),
    ],
)
def test_severity_goes_by_status_and_kind(status: str | None, kind: str, severity: str) -> None:
    """What was stopped asks for more of a look than what passed."""
    assert severity == _line({**native.bare(status=status), "kind": kind}).header["severity"]


def test_every_key_is_declared() -> None:
    """A full event's keys, labels aside, are the declared ones; the two left need another kind of address."""
    declared = {place for places in PLACES.values() for place in places.split(", ") if place}
    keys = {key for key in _line(native.full(route="inbound")).extension if not key.endswith("Label")}
    assert declared - {"c6a2", "mimecastSenderIp"} == keys | {
        "Device Event Class ID (header)",
        "Name (header)",
        "Severity (header)",
    }


def test_what_is_missing_stays_missing() -> None:
    """An event that says nothing has no keys but those that every event has."""
    always = {"rt", "externalId", "deviceExternalId", "cat", "mimecastObservedAt", "mimecastKey"}
    assert always == _line(native.BARE).extension.keys()


@pytest.mark.parametrize("text", [text for text in native.HOSTILE_TEXTS if text])
def test_hostile_text_comes_back(text: str) -> None:
    """Every text comes back as it was, but for control characters and line separators, of which LF and CR do."""
    extension = _line(native.hostile(text)).extension
    for key in ("msg", "reason", "act", "cs1", "cs3", "cs4", "cs5", "mimecastPriority", "mimecastFromEnvelopeName"):
        assert carried(text) == extension[key]
    assert carried(f"{text}@evil.example") == extension["suser"] == extension["cs2"]
    assert {text: text, "nested": {text: [text]}} == json.loads(extension["mimecastExtra"])
    to = [{"address": f"{text}@evil.example", "name": text}, {"address": text}, {"name": text}]
    assert to == json.loads(extension["mimecastTo"])


def test_hostile_accounts_and_queues_come_back() -> None:
    """What an operator or a later API may name is escaped like what a sender writes."""
    text = "a=b\\c\n|d"
    event = {**native.FULL, "account": text, "queue": {**native.FULL["queue"], "type": text}}
    extension = _line(event).extension
    assert (text, text) == (extension["deviceExternalId"], extension["cs6"])


def test_a_subject_cannot_forge_a_key() -> None:
    """A subject that looks like further keys stays the subject."""
    subject = "x suser=root@evil.example act=accepted"
    assert {**_extension(), "msg": subject} == _extension(subject=subject)


@pytest.mark.parametrize(
    ("sender_ip", "key"),
    [
        ("198.51.100.7", "src"),
        ("0.0.0.0", "src"),
        ("2001:db8::25", "c6a2"),
        ("::ffff:198.51.100.7", "c6a2"),
        ("4" * 32, "mimecastSenderIp"),
        ("198.51.100.256", "mimecastSenderIp"),
        ("198.51.100", "mimecastSenderIp"),
        ("198.51.100.07", "mimecastSenderIp"),
        ("198.51.100.7\n", "mimecastSenderIp"),
        ("fe80::1%eth0", "mimecastSenderIp"),
        ("2001:db8:::25", "mimecastSenderIp"),
        ("198.51.100.7 x=y", "mimecastSenderIp"),
        ("١٩٨.51.100.7", "mimecastSenderIp"),
    ],
)
def test_only_addresses_stand_where_addresses_are_due(sender_ip: str, key: str) -> None:
    """IPv4 goes to src, IPv6 to c6a2, a digest or anything else to a key of text."""
    extension = _extension(sender_ip=sender_ip)
    assert {key: sender_ip} == {
        name: extension[name] for name in ("src", "c6a2", "mimecastSenderIp") if name in extension
    }


def test_recipients_are_joined() -> None:
    """Several recipients stand in duser with commas between them, and nothing is said twice."""
    extension = _extension(to=[{"address": "amy@corp.example"}, {"address": "bo@corp.example"}])
    assert extension["duser"] == "amy@corp.example,bo@corp.example"
    assert "mimecastTo" not in extension


@pytest.mark.parametrize(
    "to",
    [
        [{"address": "amy@corp.example", "name": "Amy"}],
        [{"address": '"a,b"@corp.example'}, {"address": "bo@corp.example"}],
        [{"address": "amy@corp.example"}, {"name": "Nobody"}],
        [{"address": ""}],
    ],
)
def test_recipients_that_cannot_be_joined_are_spelled_out(to: list[dict[str, str]]) -> None:
    """Names, commas inside addresses and missing addresses are kept, as JSON beside duser."""
    assert to == json.loads(_extension(to=to)["mimecastTo"])


@pytest.mark.parametrize(("route", "direction"), [("inbound", "0"), ("outbound", "1"), ("internal", None)])
def test_direction(route: str, direction: str | None) -> None:
    """CEF knows two directions; Mimecast's own word stands beside it."""
    extension = _extension(route=route)
    assert (route, direction) == (extension["cs4"], extension.get("deviceDirection"))


def test_no_attachments_is_said() -> None:
    """False is an answer, not a gap."""
    assert _extension(attachments=False)["mimecastAttachments"] == "false"


def test_zero_is_a_number() -> None:
    """A score, a size or a count of 0 is said."""
    extension = _extension(spam_score=0, size=0, attempts=0)
    assert ["0", "0", "0"] == [extension[key] for key in ("cfp1", "cn1", "cn2")]


@pytest.mark.parametrize(
    ("at", "millis"),
    [
        ("2026-01-05T09:29:02Z", "1767605342000"),
        ("2026-01-05T09:29:02.120999Z", "1767605342120"),
        ("1969-12-31T23:59:59.999Z", "-1"),
        ("0001-01-01T00:00:00Z", "-62135596800000"),
    ],
)
def test_times_are_milliseconds(at: str, millis: str) -> None:
    """Times count from 1970, cut to milliseconds; placeholders from before that are numbers like any other."""
    line = _line({**native.bare(received_at=at), "occurred_at": at})
    assert (millis, millis) == (line.extension["rt"], line.extension["start"])


def test_redacted_events_stay_valid() -> None:
    """Digests and bare domains stand where the addresses were, an IP's digest where text may stand."""
    extension = _line(native.redacted()).extension
    assert (native.digest("envelope"), "two.example") == (extension["suser"], extension["cs2"])
    assert native.digest("first") + ",four.example" == extension["duser"]
    assert native.digest("ip") == extension["mimecastSenderIp"]
    assert not {"src", "msg", "reason", "mimecastExtra", "mimecastPrevious"} & extension.keys()


def test_is_chosen_by_its_type() -> None:
    """The union reads ``type: cef`` and builds a format of plain text in UTF-8."""
    config = TypeAdapter(FormatConfig).validate_python({"type": "cef"})
    assert config.build().content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize("option", ["vendor", "product", "version"])
@pytest.mark.parametrize("value", ["", "a\nb", "é", "x" * 64])
def test_header_options_are_short_printable_ascii(option: str, value: str) -> None:
    """What could break a header is refused when the configuration is read."""
    with pytest.raises(ValidationError):
        CefFormatConfig.model_validate({option: value})
