"""Properties of lenient reading: never a crash, never a loss, and the typed way's results where it fits."""

import json
import math
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.event import FINDER, SCHEMA, Event, EventKind, encode_lines, message_key, message_of, timestamp
from mcwatch.domain.record import Record, Unreadable
from mcwatch.sources.lenient import SPELLINGS, read_row
from mcwatch.sources.message_finder import FinderRow
from mcwatch.sources.processing_queue import QueueRow
from tests.unit.domain.rows import NOW

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["2026-01-05T09:29:02+0000", "2026-01-05", "7", "1e400", "true", "0001-01-01T00:00:00+1400"])
)
ADDRESS_KEYS = st.sampled_from(["emailAddress", "displayableName", "displayName", "new"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(ADDRESS_KEYS, inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
ROWS = st.dictionaries(st.sampled_from(sorted(SPELLINGS)) | st.text(max_size=4), VALUES, max_size=6)


def line_of(row: Record) -> bytes:
    """Return the event line of a row."""
    message = message_of(row, message_key(row))
    return encode_lines(
        [Event(SCHEMA, "0" * 32, EventKind.SEEN, "a", FINDER, timestamp(NOW), timestamp(NOW), message, None, None)]
    )


def words(value: object) -> set[str]:
    """Return every text, and every number as text, that a value holds."""
    if isinstance(value, dict):
        return set().union(*(words(inner) for inner in value.values()))
    if isinstance(value, list):
        return set().union(*map(words, value))
    if isinstance(value, bool) or value is None or value == "":
        return set()
    if isinstance(value, float):
        return set() if not math.isfinite(value) else {repr(value)}
    return {value} if isinstance(value, str) else {str(value)}


@given(VALUES | ROWS)
def test_any_json_value_is_a_record_or_unreadable(value: object) -> None:
    """Nothing raises, and each record can be encoded as an event line and for the store, and parses back."""
    row = read_row(json.dumps(value).encode())
    if isinstance(row, Unreadable):
        return
    line = line_of(row)
    assert 1 == line.count(b"\n")
    assert message_key(row) == msgspec.json.decode(line)["message"]["key"]
    msgspec.msgpack.decode(msgspec.msgpack.encode(message_of(row, "k")))


@given(st.binary(max_size=60) | st.binary(max_size=30).map(lambda raw: b'{"id":"a","subject":"' + raw + b'"}'))
def test_any_bytes_are_a_record_or_unreadable(raw: bytes) -> None:
    """Bytes that are hardly JSON raise nothing; what cannot be read keeps them."""
    row = read_row(raw)
    if isinstance(row, Unreadable):
        assert raw == row.raw
    else:
        line_of(row)


@given(ROWS)
def test_nothing_a_row_said_is_lost(fields: dict[str, Any]) -> None:
    """Every text and number of the row is in a known field or in `extra`, times and scores in their own form."""
    row = read_row(json.dumps({"id": "a", **fields}).encode())
    if isinstance(row, Unreadable):
        return
    assert isinstance(row.extra, dict)
    known = msgspec.structs.asdict(row)
    del known["extra"]
    for key, value in fields.items():
        if key in row.extra:
            assert words(value) <= words(row.extra[key])
            continue
        assert key in SPELLINGS
        read = known[SPELLINGS[key]]
        assert (read is None) == (value is None)
        if key in {"status", "info"}:
            assert words(value) <= words(read if isinstance(value, str) else msgspec.json.decode(read or "null"))
        elif isinstance(read, str):
            assert read in ({value} if isinstance(value, str) else {str(value), json.dumps(value)})
        elif key in {"to", "fromEnv", "fromEnvelope", "fromHdr", "fromHeader"}:
            assert len(words(value)) == len(words(msgspec.to_builtins(read)))


ROW_TYPES: st.SearchStrategy[type[Record]] = st.just(FinderRow) | st.just(QueueRow)
NAMES: dict[type[Record], list[str]] = {
    FinderRow: ["id", "status", "info", "subject", "route", "fromEnv", "fromHdr", "to", "senderIP", "attachments",
                "received", "sent", "spamScore", "detectionLevel"],
    QueueRow: ["id", "info", "subject", "routing", "fromEnv", "fromHeader", "to", "remoteIp", "attachment", "size",
               "attempts", "created", "nextAttempt", "lockedUntil", "priority"],
}  # fmt: skip


@st.composite
def documented_rows(draw: st.DrawFn) -> tuple[type[Record], dict[str, Any]]:
    """Draw a row as it is documented, of either feed, with any of its fields missing or null."""
    row_type = draw(ROW_TYPES)
    address = st.fixed_dictionaries({"emailAddress": st.text(max_size=4)}, optional={"displayableName": st.text()})
    times = st.sampled_from(["2026-01-05T09:29:02+0000", "2026-01-05T09:29:02.123+0200", "2026-01-05T09:29:02Z"])
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "fromEnv": address, "fromHdr": address, "fromHeader": address,
        "to": st.lists(address, max_size=2) if row_type is FinderRow else address,
        "attachments": st.booleans(), "attachment": st.booleans(),
        "received": times, "sent": times, "created": times, "nextAttempt": times, "lockedUntil": times,
        "spamScore": st.integers(0, 99) | st.floats(0, 9), "size": st.integers(0, 2**40), "attempts": st.integers(0, 9),
    }  # fmt: skip
    optional = {name: st.none() | kinds.get(name, st.text(max_size=4)) for name in NAMES[row_type] if name != "id"}
    return row_type, draw(st.fixed_dictionaries({"id": st.text(min_size=1, max_size=4)}, optional=optional))


@given(documented_rows())
def test_both_ways_read_a_documented_row_alike(drawn: tuple[type[Record], dict[str, Any]]) -> None:
    """A row that moves from the typed way to the lenient one, by a new key beside it, stays the same mail."""
    row_type, fields = drawn
    raw = json.dumps(fields).encode()
    typed, lenient = msgspec.json.decode(raw, type=row_type), read_row(raw)
    assert isinstance(lenient, Record)
    assert message_of(typed, message_key(typed)) == message_of(lenient, message_key(lenient))
