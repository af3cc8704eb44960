"""What an event looks like, and what its ids are made of."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from mcwatch.domain.event import (
    FINDER,
    QUEUE,
    SCHEMA,
    Event,
    EventKind,
    Stay,
    encode_lines,
    finder_fingerprints,
    finder_state,
    fingerprint,
    identity,
    left_state,
    message_key,
    message_of,
    prefix,
    queue_state,
    timestamp,
)
from mcwatch.domain.record import Record, WireAddress
from tests.unit.domain.rows import NOW, RECEIVED, finder_row, queue_row

FEED = prefix("acme", FINDER)


def event_id(row: Record, account: str = "acme", source: str = FINDER, visit: int = 0) -> str:
    """Return the id of a row's event."""
    return fingerprint(prefix(account, source), identity(row), finder_state(row), visit).hex()


def line(row: Record, kind: EventKind = EventKind.SEEN, *, stay: Stay | None = None) -> bytes:
    """Return the event line of a row."""
    message = message_of(row, "91ab")
    source = QUEUE if stay else FINDER
    occurred = row.received_at or row.created_at or timestamp(NOW)
    return encode_lines([Event(SCHEMA, "6f0c", kind, "acme", source, occurred, timestamp(NOW), message, None, stay)])


def test_event_id_is_the_documented_hash() -> None:
    """The id is the first half of SHA-256 over length-prefixed parts; a change here breaks every consumer's dedupe."""
    row = finder_row(id="eNp1", status="held", info="on hold")
    text = "4:acme14:message_finder4:eNp14:held7:on hold0"
    assert hashlib.sha256(text.encode()).hexdigest()[:32] == event_id(row)


@pytest.mark.parametrize(
    "fields",
    [
        {"spam_score": 99},
        {"detection_level": "aggressive"},
        {"from_header": WireAddress("news@news.example", "Other name")},
        {"to": [WireAddress("amy@corp.example", "Amy")]},
        {"sent_at": NOW},
        {"extra": {"new": 1}},
        {"subject": "Other subject"},
        {"attachments": None},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_event_id_is_not_made_of_what_may_vary(fields: dict[str, object]) -> None:
    """Scores, display names, sent and extra fields leave the id of a row that has an id as it is."""
    assert event_id(finder_row()) == event_id(finder_row(**fields))


@pytest.mark.parametrize(
    "fields",
    [{"spam_score": 99}, {"from_header": None}, {"to": [WireAddress("amy@corp.example", "Amy")]}, {"sent_at": None},
     {"extra": {"new": 1}}, {"route": "outbound"}],
    ids=lambda fields: next(iter(fields)),
)  # fmt: skip
def test_event_id_of_a_row_without_id_is_as_stable(fields: dict[str, object]) -> None:
    """A row without an id is named by sender, recipients, subject, time and address alone."""
    assert event_id(finder_row(id=None)) == event_id(finder_row(id=None, **fields))


@pytest.mark.parametrize(
    "fields",
    [{"from_envelope": None}, {"to": []}, {"subject": None}, {"received_at": NOW}, {"sender_ip": None}],
    ids=lambda fields: next(iter(fields)),
)
@pytest.mark.parametrize("row_id", [None, ""])
def test_rows_without_an_id_are_told_apart(row_id: str | None, fields: dict[str, object]) -> None:
    """A missing or empty id does not make one mail of all rows that lack it."""
    assert event_id(finder_row(id=row_id)) != event_id(finder_row(id=row_id, **fields))


def test_an_empty_id_is_none() -> None:
    """An empty id names the row by its traits and shows as null, on the fast path too."""
    rows = [finder_row(id=""), finder_row(id="", subject="Other")]
    assert message_of(rows[0], "k").id is None
    assert [bytes.fromhex(event_id(row)) for row in rows] == finder_fingerprints(FEED, rows)
    assert event_id(finder_row(id=None)) == event_id(rows[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (fingerprint(FEED, "1:a", queue_state("q", queue_row(locked_until=datetime.fromtimestamp(12, UTC))), 3),
         fingerprint(FEED, "1:a", queue_state("q", queue_row(locked_until=datetime.fromtimestamp(1, UTC))), 23)),
        (fingerprint(FEED, "1:a", left_state("processing")), fingerprint(FEED, "1:a", left_state("bulk_processing"))),
        (fingerprint(prefix("a", "b1:c"), "1:x", ""), fingerprint(prefix("a1:b", "c"), "1:x", "")),
    ],
    ids=["locked_until and visit", "left of two queues", "account and source"],
)  # fmt: skip
def test_neighbouring_parts_do_not_run_together(one: bytes, other: bytes) -> None:
    """Parts whose texts join to the same characters still have ids of their own."""
    assert one != other


def test_message_key_is_normalised() -> None:
    """Order of recipients, case of addresses, display names, status and id do not change the key."""
    amy, bob = WireAddress("amy@corp.example", "Amy"), WireAddress("Bob@Corp.Example")
    one = finder_row(to=[amy, bob], from_envelope=WireAddress("Bounce@News.Example"))
    other = finder_row(
        id="eNp2",
        status="archived",
        to=[WireAddress("bob@corp.example", "Bob"), WireAddress("AMY@corp.example")],
        received_at=RECEIVED.astimezone(timezone(timedelta(hours=2))),
        sent_at=NOW,
        spam_score=None,
    )
    assert message_key(one) == message_key(other)


@pytest.mark.parametrize(
    "fields",
    [
        {"from_envelope": None},
        {"to": [WireAddress("amy@corp.example"), WireAddress("amy@corp.example")]},
        {"subject": "quarter update"},
        {"received_at": RECEIVED + timedelta(seconds=1)},
        {"sender_ip": "198.51.100.8"},
        {"route": None},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_message_key_tells_mails_apart(fields: dict[str, object]) -> None:
    """Sender, recipients, subject, second, address and route each make another key."""
    assert message_key(finder_row()) != message_key(finder_row(**fields))


def test_timestamps_are_utc_with_milliseconds() -> None:
    """Times are written in UTC, cut (not rounded) to milliseconds."""
    east = timezone(timedelta(hours=5, minutes=30))
    assert "2026-01-05T09:30:00.412Z" == timestamp(NOW.astimezone(east))
    assert "2026-01-05T09:30:00.999Z" == timestamp(NOW.replace(microsecond=999_999))


def test_finder_event_line() -> None:
    """A finder event is the line that the contract shows, byte for byte."""
    expected = (
        b'{"schema":"mcwatch.event/1","event_id":"6f0c","kind":"message.seen","account":"acme",'
        b'"source":"message_finder","occurred_at":"2026-01-05T09:29:02Z","observed_at":"2026-01-05T09:30:00.412Z",'
        b'"message":{"id":"eNp1","key":"91ab","status":"held","info":"Message Hold Applied",'
        b'"subject":"Quarter update","route":"inbound","from_envelope":{"address":"bounce@news.example"},'
        b'"from_header":{"address":"news@news.example","name":"News"},"to":[{"address":"amy@corp.example"}],'
        b'"sender_ip":"198.51.100.7","attachments":false,"received_at":"2026-01-05T09:29:02Z",'
        b'"sent_at":"2026-01-05T09:29:02Z","spam_score":6,"detection_level":"relaxed","extra":{}},'
        b'"previous":null,"queue":null}\n'
    )
    assert expected == line(finder_row())


def test_queue_event_line() -> None:
    """A queue event carries the queue's own fields and the stay, and leaves out what the row did not say."""
    stay = Stay("processing", timestamp(NOW), timestamp(NOW), 0.0, 1, 0)
    expected = (
        b'{"schema":"mcwatch.event/1","event_id":"6f0c","kind":"queue.entered","account":"acme",'
        b'"source":"processing_queue","occurred_at":"2026-01-05T09:29:02Z","observed_at":"2026-01-05T09:30:00.412Z",'
        b'"message":{"id":null,"key":"91ab","info":"Waiting for attachment scan","subject":"Quarter update",'
        b'"route":"inbound","from_envelope":{"address":"bounce@news.example"},"to":[{"address":"amy@corp.example"}],'
        b'"sender_ip":"198.51.100.7","size":48211,"attempts":2,"created_at":"2026-01-05T09:29:02Z",'
        b'"priority":"normal","extra":{"x":[1,null]}},"previous":null,"queue":{"type":"processing",'
        b'"first_seen_at":"2026-01-05T09:30:00.412Z","last_seen_at":"2026-01-05T09:30:00.412Z","dwell_secs":0.0,'
        b'"polls":1,"visit":0}}\n'
    )
    row = queue_row(id=None, extra={"x": [1, None]})
    assert expected == line(row, EventKind.QUEUE_ENTERED, stay=stay)


def test_a_row_that_says_nothing() -> None:
    """Missing stays missing: of an empty row only id, key and extra are left."""
    message = msgspec.json.decode(line(Record()))["message"]
    assert {"id": None, "key": "91ab", "extra": {}} == message


def test_times_of_other_zones_are_converted() -> None:
    """Every time of a message is written in UTC, whatever offset it came with."""
    west = timezone(timedelta(hours=-8))
    row = finder_row(received_at=datetime(2026, 1, 5, 1, 29, 2, tzinfo=west), sent_at=None)
    assert "2026-01-05T09:29:02Z" == msgspec.json.decode(line(row))["message"]["received_at"]


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-1))), "9999-12-31T23:00:00Z"),
    ],
)
def test_times_at_the_edge_of_the_calendar(at: datetime, shown: str) -> None:
    """A placeholder time that has no UTC form does not keep the page from being recorded."""
    assert shown == msgspec.json.decode(msgspec.json.encode(message_of(finder_row(received_at=at), "k")))["received_at"]


def test_no_events_are_no_bytes() -> None:
    """An empty page has no lines."""
    assert b"" == encode_lines([])
