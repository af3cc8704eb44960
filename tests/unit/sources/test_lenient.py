"""Rows that are not as documented: spellings, types, and bytes that are hardly JSON."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from mcwatch.domain.record import Record, Unreadable, WireAddress
from mcwatch.sources.lenient import SPELLINGS, read_row
from mcwatch.sources.message_finder import FinderRow
from mcwatch.sources.processing_queue import QueueRow

AT = datetime(2026, 1, 5, 9, 29, 2, tzinfo=UTC)


def read(**fields: object) -> Record:
    """Read a row of these fields, which is a mail by its id at least."""
    return record(json.dumps({"id": "a", **fields}).encode())


def record(raw: bytes) -> Record:
    """Read a row that can be read."""
    row = read_row(raw)
    assert isinstance(row, Record)
    return row


def problem(raw: bytes) -> str:
    """Read a row that cannot be read and return why; its bytes are kept as they came."""
    row = read_row(raw)
    assert isinstance(row, Unreadable)
    assert raw == row.raw
    return row.problem


@pytest.mark.parametrize(
    ("key", "value", "name", "expected"),
    [
        ("id", 7, "id", "7"),
        ("status", 7, "status", "7"),
        ("info", 1.5, "info", "1.5"),
        ("subject", "", "subject", ""),
        ("route", "inbound", "route", "inbound"),
        ("routing", "inbound", "route", "inbound"),
        ("fromEnv", {"emailAddress": "a@b"}, "from_envelope", WireAddress("a@b")),
        ("fromEnvelope", "a@b", "from_envelope", WireAddress("a@b")),
        ("fromHdr", {"emailAddress": "", "displayName": "B"}, "from_header", WireAddress("", "B")),
        ("fromHeader", {"emailAddress": "a@b", "displayableName": "B"}, "from_header", WireAddress("a@b", "B")),
        ("fromHeader", {"displayableName": "", "displayName": "B"}, "from_header", WireAddress(None, "B")),
        ("to", {"emailAddress": "a@b"}, "to", [WireAddress("a@b")]),
        ("to", [{"emailAddress": "a@b"}, None, "c@d"], "to", [WireAddress("a@b"), WireAddress("c@d")]),
        ("to", "a@b", "to", [WireAddress("a@b")]),
        ("to", [], "to", []),
        ("senderIP", "192.0.2.1", "sender_ip", "192.0.2.1"),
        ("senderIp", "192.0.2.1", "sender_ip", "192.0.2.1"),
        ("remoteIp", "192.0.2.1", "sender_ip", "192.0.2.1"),
        ("remoteIP", "192.0.2.1", "sender_ip", "192.0.2.1"),
        ("attachments", "true", "attachments", True),
        ("attachment", 0, "attachments", False),
        ("received", "2026-01-05T09:29:02+0000", "received_at", AT),
        ("received", "2026-01-05T11:29:02+02:00", "received_at", AT),
        ("sent", "2026-01-05T09:29:02Z", "sent_at", AT),
        ("created", "2026-01-05T09:29:02", "created_at", AT),
        ("created", " 2026-01-05 09:29:02 ", "created_at", AT),
        ("nextAttempt", "2026-01-05T09:29:02+0000", "next_attempt_at", AT),
        ("lockedUntil", "2026-01-05T09:29:02+0000", "locked_until", AT),
        ("spamScore", "6", "spam_score", 6),
        ("spamScore", "6.5", "spam_score", 6.5),
        ("detectionLevel", "relaxed", "detection_level", "relaxed"),
        ("size", "48211", "size", 48211),
        ("size", 48211.0, "size", 48211),
        ("attempts", "2", "attempts", 2),
        ("attempts", "2.0", "attempts", 2),
        ("priority", 1, "priority", "1"),
    ],
)
def test_every_spelling_is_read(key: str, value: object, name: str, expected: object) -> None:
    """Each spelling and type that has been seen ends in the same field, and leaves nothing over."""
    row = read(**{key: value})
    assert expected == getattr(row, name)
    assert {} == row.extra


def test_every_known_spelling_is_tested() -> None:
    """A spelling added to the table is added to the test above."""
    marks: list[Any] = test_every_spelling_is_read.pytestmark  # type: ignore[attr-defined]  # set by the decorator
    assert SPELLINGS.keys() == {arguments[0] for arguments in marks[0].args[1]}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("received", ["yesterday"]),
        ("received", "yesterday"),
        ("received", 1767605342),
        ("received", "2026-01-05T23:59:60Z"),
        ("received", "0001-01-01T00:00:00+01:00"),
        ("fromEnv", 12),
        ("fromEnv", {"value": "a@b"}),
        ("fromEnv", {"emailAddress": {"value": "a@b"}}),
        ("to", 12),
        ("to", ["a@b", 12]),
        ("attempts", "many"),
        ("attempts", 1.5),
        ("attempts", True),
        ("attachments", "perhaps"),
        ("attachments", 2),
        ("spamScore", {}),
        ("spamScore", False),
        ("size", "nan"),
        ("size", "1e300"),
        ("unknown", {"a": [1, None]}),
        ("unknown", None),
    ],
)
def test_what_does_not_fit_is_kept_under_its_own_name(key: str, value: object) -> None:
    """A value that has not the meaning of its field, and an unknown one, stay in `extra` as they came."""
    row = read(**{key: value})
    assert {key: value} == row.extra
    assert key not in SPELLINGS or getattr(row, SPELLINGS[key]) is None


def test_a_second_spelling_is_kept() -> None:
    """Of two spellings of one field the first is read and the other kept; one that is null does not count."""
    row = read(senderIP=None, senderIp="192.0.2.1", remoteIp="192.0.2.2")
    assert ("192.0.2.1", {"remoteIp": "192.0.2.2"}) == (row.sender_ip, row.extra)


@pytest.mark.parametrize(
    "value",
    [
        {"emailAddress": "a@b", "displayableName": "B", "type": "smtp"},
        {"emailAddress": "a@b", "displayableName": "B", "displayName": "Other"},
        {"emailAddress": "a@b", "displayableName": {}, "displayName": "B"},
        {"emailAddress": "a@b", "displayableName": 0, "displayName": "B"},
    ],
)
def test_an_address_that_says_more_is_read_and_kept(value: dict[str, object]) -> None:
    """A new key beside an address does not cost the address, and is not lost either."""
    row = read(fromEnv=value, to=[value])
    assert (WireAddress("a@b", "B"), [WireAddress("a@b", "B")]) == (row.from_envelope, row.to)
    assert {"fromEnv": value, "to": [value]} == row.extra


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"null", "null"),
        (b"7", "a number"),
        (b"1.5", "a number"),
        (b"true", "true or false"),
        (b'"row"', "text"),
        (b'[{"id":1}]', "a list"),
        (b"", "no JSON"),
        (b'{"id":', "no JSON"),
        (b"{}", "nothing else to tell it by"),
        (b'{"id":""}', "nothing else to tell it by"),
        (b'{"id":{"value":"odd"},"to":12,"status":["held"]}', "nothing else to tell it by"),
        (b'{"to":[{}],"fromEnv":{},"status":"held"}', "nothing else to tell it by"),
        (b'{"id":"a","x":' + b"[" * 40 + b"]" * 40 + b"}", "32 levels"),
        (b'{"id":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "no JSON"),
    ],
)
def test_unreadable_rows(raw: bytes, reason: str) -> None:
    """What is no row, or names nothing to tell it by, is unreadable and says why without quoting it."""
    assert reason in problem(raw)


@pytest.mark.parametrize("field", ["subject", "senderIP", "received", "created"])
def test_a_row_without_an_id_is_read_by_its_other_names(field: str) -> None:
    """One thing to tell a mail by is enough."""
    assert record(json.dumps({field: "2026-01-05T09:29:02Z"}).encode()).id is None
    assert record(b'{"to":["a@b"]}').to == [WireAddress("a@b")]


def test_depth_up_to_the_limit() -> None:
    """Thirty-one levels inside the row are kept."""
    extra = record(b'{"id":"a","x":' + b"[" * 31 + b"]" * 31 + b"}").extra
    assert b'{"x":' + b"[" * 31 + b"]" * 31 + b"}" == msgspec.json.encode(extra)


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        (b"Gr\xfc\xdfe \xff", "Gr\ufffd\ufffde \ufffd"),
        (rb"half \ud83d", "half \ufffd"),
        (rb"half \ude00 \ud83d", "half \ufffd \ufffd"),
        (rb"whole \ud83d\ude00", "whole \U0001f600"),
        (b"tab\tnew\nline\x00", "tab\tnew\nline\x00"),
    ],
)
def test_spoilt_text_is_read_with_replacements(raw: bytes, subject: str) -> None:
    """Invalid UTF-8 and halves of surrogate pairs become U+FFFD; control characters stay."""
    row = record(b'{"id":"a","subject":"' + raw + b'"}')
    assert subject == row.subject


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"NaN", "NaN"),
        (b"-Infinity", "-Infinity"),
        (b"1e999", "1e999"),
        (b"123456789012345678901234567890", "123456789012345678901234567890"),
        (b"9" * 5000, "9" * 5000),
        (b"9223372036854775808", "9223372036854775808"),
        (b"-9223372036854775808", -(2**63)),
    ],
)
@pytest.mark.parametrize("key", ["size", "spamScore", "unknown"])
def test_numbers_no_encoding_can_hold_are_kept_as_text(raw: bytes, kept: object, key: str) -> None:
    """A number beyond 64 bits, or none at all, neither stops the feed nor is lost."""
    row = record(b'{"id":"a","' + key.encode() + b'":' + raw + b"}")
    assert isinstance(row.extra, dict)
    name = SPELLINGS.get(key, "")
    assert kept == row.extra.get(key, getattr(row, name, None))
    msgspec.msgpack.encode(row)


@pytest.mark.parametrize("row_type", [FinderRow, QueueRow])
@pytest.mark.parametrize("key", ["size", "attempts", "spamScore"])
def test_the_fast_path_takes_no_such_number(row_type: type[Record], key: str) -> None:
    """The typed decode leaves numbers beyond 64 bits to the lenient one."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"id":"a","' + key.encode() + b'":9223372036854775808}', type=row_type)


@pytest.mark.parametrize("key", ["status", "info"])
def test_states_of_any_type_stay_different(key: str) -> None:
    """What makes a row another event is never lost: a status or info that is no text is read as its JSON."""
    values = [getattr(read(**{key: value}), key) for value in ({"a": 1}, {"a": 2}, ["held"], True, 5)]
    assert ['{"a":1}', '{"a":2}', '["held"]', "true", "5"] == values
