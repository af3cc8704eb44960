"""Batches and verdicts."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, EventHead, MessageHead
from mcwatch.domain.event import FINDER, SCHEMA, Event, EventKind, encode_lines, message_of, timestamp
from tests.unit.domain.rows import NOW, RECEIVED, finder_row


def native(number: int) -> bytes:
    """Return one event as it is stored."""
    message = message_of(finder_row(), "k")
    event = Event(
        SCHEMA, f"{number:032x}", EventKind.SEEN, "acme", FINDER, RECEIVED, timestamp(NOW), message, None, None
    )
    return encode_lines([event]).rstrip(b"\n")


def test_heads_are_what_an_envelope_needs() -> None:
    """The head of each event is read from its native line, times as times."""
    batch = Batch([native(1), native(2)], [b"one", b"two"])
    expected = EventHead(f"{1:032x}", "message.seen", "acme", FINDER, RECEIVED, NOW, MessageHead("held"))
    assert expected == batch.heads[0]
    assert ["0" * 31 + "1", "0" * 31 + "2"] == [head.event_id for head in batch.heads]
    assert datetime(2026, 1, 5, 9, 29, 2, tzinfo=UTC) == batch.heads[0].occurred_at


def test_heads_are_decoded_once() -> None:
    """A second look at the heads costs nothing."""
    batch = Batch([native(1)], [b"one"])
    assert batch.heads is batch.heads


def test_heads_are_decoded_only_when_asked_for() -> None:
    """A sink that needs no heads may be given natives that are none."""
    batch = Batch([b"no JSON"], [b"one"])
    assert 1 == len(batch)
    with pytest.raises(msgspec.DecodeError):
        _ = batch.heads


@given(st.integers(0, 6), st.integers(0, 8), st.integers(0, 8))
def test_slice_keeps_natives_and_payloads_together(size: int, start: int, stop: int) -> None:
    """A slice holds the same events of both forms, in order."""
    batch = Batch([b"n%d" % number for number in range(size)], [b"p%d" % number for number in range(size)])
    part = batch.slice(start, stop)
    assert [payload[1:] for payload in part.payloads] == [line[1:] for line in part.native]
    assert list(range(size))[start:stop] == [int(payload[1:]) for payload in part.payloads]
    assert len(range(size)[start:stop]) == len(part)


def test_slices_have_heads_of_their_own() -> None:
    """A slice of a batch whose heads were read has the heads of its own events."""
    batch = Batch([native(1), native(2), native(3)], [b"1", b"2", b"3"])
    assert batch.heads[1:] == batch.slice(1, 3).heads


def test_all_accepted_says_nothing_against_any() -> None:
    """The plain verdict refuses nothing and asks for nothing again."""
    assert ({}, frozenset()) == (ALL_ACCEPTED.refused, ALL_ACCEPTED.retry)
