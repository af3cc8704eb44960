"""Properties of ids: injective over their parts, the same on every path."""

import dataclasses
from datetime import UTC
from unittest import mock

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.event import (
    FINDER,
    SCHEMA,
    Event,
    EventKind,
    Message,
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
from mcwatch.domain.fingerprint import second_of
from mcwatch.domain.record import Record
from tests.unit.domain.rows import NOW, TEXTS, TIMES, WHOLES, maybe, records

# Texts that look like the notation of the hashed parts find holes in it sooner than any.
CONFUSING = st.text("-0123:@;[?|a", max_size=4) | TEXTS


@dataclasses.dataclass(frozen=True)
class Parts:
    """What an event id is made of; ``row`` holds the fields that are part of it."""

    account: str
    source: str
    row: tuple[object, ...]
    state: tuple[object, ...]
    visit: int


def hashed_text(parts: Parts) -> bytes:
    """Return what is hashed for these parts."""
    feed, visit = prefix(parts.account, parts.source), parts.visit
    name, state = str(parts.row[0]), parts.state
    if state[0] == "finder":
        text = finder_state(Record(status=_text(state[1]), info=_text(state[2])))
    elif state[0] == "left":
        text = left_state(str(state[1]))
    else:
        row = Record(attempts=state[2], info=state[3], locked_until=state[4])  # type: ignore[arg-type]  # drawn so
        text = queue_state(str(state[1]), row)
    with mock.patch("mcwatch.domain.event.hashlib.sha256") as sha256:
        sha256.return_value.digest.return_value = b""
        fingerprint(feed, identity(Record(id=name)), text, visit)
        hashed: bytes = sha256.call_args.args[0]
    return hashed


def _text(value: object) -> str | None:
    return None if value is None else str(value)


STATES = {
    "finder": st.tuples(st.just("finder"), maybe(CONFUSING), maybe(CONFUSING)),
    "queue": st.one_of(
        st.tuples(st.just("left"), CONFUSING),
        st.tuples(
            st.just("queue"),
            CONFUSING,
            maybe(st.integers(0, 99)),
            maybe(CONFUSING),
            maybe(TIMES.map(lambda at: at.replace(microsecond=0)).filter(lambda at: at.year > 1970)),
        ),
    ),
}


def parts_of(feed: str) -> st.SearchStrategy[Parts]:
    """Draw the parts of an event id of one of the feeds."""
    names = CONFUSING.filter(bool)
    return st.builds(Parts, CONFUSING, CONFUSING, st.tuples(names), STATES[feed], st.integers(0, 99))


@given(st.sampled_from(["finder", "queue"]).flatmap(lambda feed: st.tuples(parts_of(feed), parts_of(feed))))
def test_different_parts_never_hash_the_same_text(pair: tuple[Parts, Parts]) -> None:
    """Two events that differ in account, source, id, state or visit hash different texts."""
    one, other = pair
    assert (one == other) == (hashed_text(one) == hashed_text(other))


@given(st.lists(records(), max_size=4), CONFUSING)
def test_the_fast_way_to_fingerprints_is_the_plain_one(rows: list[Record], account: str) -> None:
    """Written out for speed, the finder's fingerprints are those of the rule, for any row."""
    feed = prefix(account, FINDER)
    assert [fingerprint(feed, identity(row), finder_state(row)) for row in rows] == finder_fingerprints(feed, rows)


@given(records(st.text(max_size=6)), st.binary(min_size=16, max_size=16))
def test_the_key_is_the_same_with_the_second_given(row: Record, mark: bytes) -> None:
    """A caller who knows the second gets the key of one who does not."""
    assert message_key(row) == message_key(row, second_of(row, mark))


@given(records(st.text(max_size=6)))
def test_every_row_becomes_a_line_that_parses_back(row: Record) -> None:
    """Whatever a row says comes back out of its event line, with times in UTC."""
    message = message_of(row, message_key(row))
    line = encode_lines(
        [Event(SCHEMA, "0" * 32, EventKind.SEEN, "a", FINDER, timestamp(NOW), timestamp(NOW), message, None, None)]
    )
    assert 1 == line.count(b"\n")
    raw = msgspec.json.decode(line, type=dict[str, msgspec.Raw])["message"]
    back = msgspec.json.decode(raw, type=Message)
    assert message == back
    assert message == msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Message)
    assert {UTC} >= {at.tzinfo for at in (back.received_at, back.sent_at, back.locked_until) if at is not None}


@given(records(), records(), WHOLES)
def test_identity_speaks_of_nothing_else(row: Record, other: Record, number: int) -> None:
    """Kind, scores, display names, sent and extra of another row leave identity and state as they are."""
    changed = msgspec.structs.replace(
        row,
        from_header=other.from_header,
        sent_at=other.sent_at,
        spam_score=number,
        detection_level=other.detection_level,
        extra=other.extra,
    )
    assert (identity(row), finder_state(row)) == (identity(changed), finder_state(changed))
