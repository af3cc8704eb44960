"""Events as lines for people."""

import msgspec
import pytest

from mcwatch.domain.readable import readable_line
from tests.contract.sink_events import HOSTILE_SUBJECTS, event, event_document


def test_a_line_says_what_happened() -> None:
    """Time, kind, account, route, status, addresses and subject stand in this order."""
    document = event_document(1)
    document["message"]["subject"] = "Quarter update"
    expected = (
        "2026-01-05 09:29:02Z message.seen    acme inbound held bounce@news.example -> amy@corp.example "
        '"Quarter update"'
    )
    assert readable_line(msgspec.json.encode(document)) == expected


def test_changes_and_stays_are_shown() -> None:
    """A change names both states, a message that left says for how long it was there, and recipients are counted."""
    document = event_document(1) | {
        "kind": "queue.left",
        "previous": {"status": "accepted"},
        "queue": {"type": "processing", "dwell_secs": 93.4},
    }
    document["message"]["to"] *= 3
    line = readable_line(msgspec.json.encode(document))
    assert "accepted>held" in line
    assert "amy@corp.example (+2)" in line
    assert line.endswith("after 93 s")


def test_an_event_that_says_little_makes_a_line_too() -> None:
    """Missing fields are dashes; a queue entry has its queue for a status."""
    document = event_document(1) | {"message": {"id": None, "key": "k"}, "queue": {"type": "bulk_processing"}}
    assert readable_line(msgspec.json.encode(document)).endswith('acme - bulk_processing <> -> - ""')


@pytest.mark.parametrize("subject", HOSTILE_SUBJECTS)
def test_nothing_in_a_line_can_steer_a_terminal(subject: str) -> None:
    """Whatever a subject holds, the line has only printable characters."""
    assert readable_line(event(1, subject)).isprintable()


@pytest.mark.parametrize("payload", [b"CEF:0|x\x1b[2J\n", b"\xff\xfe", b"{}", b"[]"])
def test_other_payloads_are_shown_as_they_are(payload: bytes) -> None:
    """What is no native event is still one harmless line."""
    assert readable_line(payload).isprintable()


def test_colours_only_when_asked_for() -> None:
    """Escape sequences come from the line, never from the mail."""
    assert readable_line(event(1, "\x1b[31m"), coloured=True).count("\x1b[0m") == 3
