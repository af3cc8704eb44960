"""What a watcher asks for, and the notes of the stream."""

from typing import Any

import msgspec
import pytest

from mcwatch.domain.tailing import TailNote, TailRequest, Word, account_of
from tests.contract.sink_events import event_document


def _line(**changes: Any) -> bytes:  # noqa: ANN401 - whatever a field holds
    document = event_document(1)
    for key in ("status", "route"):
        if key in changes:
            document["message"][key] = changes.pop(key)
    return msgspec.json.encode(document | changes) + b"\n"


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (TailRequest(), True),
        (TailRequest(kinds=["message.*"]), True),
        (TailRequest(kinds=["queue.*", "message.changed"]), False),
        (TailRequest(sources=["message_finder"]), True),
        (TailRequest(sources=["processing_queue"]), False),
        (TailRequest(routes=["outbound", "inbound"]), True),
        (TailRequest(routes=["outbound"]), False),
        (TailRequest(statuses=["held"]), True),
        (TailRequest(statuses=["rejected"]), False),
        (TailRequest(kinds=["message.seen"], statuses=["rejected"]), False),
    ],
)
def test_an_event_must_fit_every_list(request_: TailRequest, wanted: bool) -> None:
    """An empty list is no condition."""
    line = _line(kind="message.seen", source="message_finder", status="held", route="inbound")
    assert (line if wanted else b"") == request_.chosen(line)


def test_what_is_not_known() -> None:
    """An event without a route may be the one that is looked for; one without a status has none."""
    line = _line(status=None, route=None)
    assert line == TailRequest(routes=["inbound"]).chosen(line)
    assert b"" == TailRequest(statuses=["held"]).chosen(line)


def test_accounts_are_patterns() -> None:
    """As in a destination's selection."""
    request = TailRequest(accounts=["ac*", "beta"])
    assert [True, True, False] == [request.wants_account(name) for name in ("acme", "beta", "gamma")]
    assert "beta" == account_of(_line(account="beta"))


def test_notes_are_told_from_events() -> None:
    """Each is a line of its own."""
    note = TailNote(note=Word.LEFT_OUT, events=120, at_most=True)
    assert b'{"note":"left_out","events":120,"at_most":true}\n' == note.line()
    assert note == TailNote.read(note.line())
    assert TailNote.read(_line()) is None
