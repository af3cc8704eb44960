"""The body of a bulk request."""

import json

import pytest

from mcwatch.domain.delivery import Batch
from mcwatch.sinks.elasticsearch.bulk import WriteTarget, body_of
from tests.contract.sink_events import HOSTILE_SUBJECTS, batch_of, event, numbered

_TIME = b'{"@timestamp":"2026-01-05T09:29:02Z",'


def test_an_event_is_an_action_and_a_document() -> None:
    """The action creates under the event's id, and every line ends with LF, also the last."""
    expected = (
        b'{"create":{"_id":"%s"}}\n' % (b"0" * 32) + _TIME + event(0)[1:] + b"\n"
        b'{"create":{"_id":"%s1"}}\n' % (b"0" * 31) + _TIME + event(1)[1:] + b"\n"
    )  # fmt: skip
    assert expected == body_of(numbered(2))


def test_a_document_with_its_own_time_is_left_alone() -> None:
    """What begins with @timestamp is sent byte for byte."""
    payload = b'{"@timestamp":"2020-01-01T00:00:00Z","a":1}'
    assert body_of(Batch((event(0),), (payload,))).split(b"\n")[1] == payload


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"{}", b'{"@timestamp":"2026-01-05T09:29:02Z"}'),
        (b'{ "a": 1}', b'{"@timestamp":"2026-01-05T09:29:02Z", "a": 1}'),
        (b'{"a":{"@timestamp":1}}', b'{"@timestamp":"2026-01-05T09:29:02Z","a":{"@timestamp":1}}'),
    ],
)
def test_the_time_is_put_in_front_of_any_object(payload: bytes, expected: bytes) -> None:
    """A document stays JSON, also an empty one."""
    assert expected == body_of(Batch((event(0),), (payload,))).split(b"\n")[1]


def test_the_time_is_the_events_own() -> None:
    """A name that looks like the key beside it does not mislead."""
    document = json.loads(event(7)) | {"account": 'x","occurred_at":"1999-01-01T00:00:00Z'}
    native = json.dumps(document, separators=(",", ":")).encode()
    assert body_of(batch_of(native)).split(b"\n")[1].startswith(_TIME)


def test_no_document_makes_an_action() -> None:
    """Two lines per event, whatever is in it: also a document with line ends between its tokens."""
    hostile = [event(number, subject) for number, subject in enumerate(HOSTILE_SUBJECTS)]
    forged = b'{"a":1,\n"create":{}}\n{"delete":{"_id":"x"}}'
    batch = Batch([*hostile, event(99)], [*hostile, forged])
    lines = body_of(batch).split(b"\n")
    assert lines.pop() == b""
    assert len(lines) == 2 * len(batch)
    assert all(list(json.loads(line)) == ["create"] for line in lines[::2])
    assert [json.loads(line)["message"]["subject"] for line in lines[1:-1:2]] == [
        json.loads(native)["message"]["subject"] for native in hostile
    ]


@pytest.mark.parametrize(
    ("target", "required", "path"),
    [
        (WriteTarget("logs-x-y", is_data_stream=True), True, "/logs-x-y/_bulk?{filter}&require_data_stream=true"),
        (WriteTarget("logs-x-y", is_data_stream=True), False, "/logs-x-y/_bulk?{filter}"),
        (WriteTarget("mail", is_data_stream=False), True, "/mail/_bulk?{filter}"),
        (WriteTarget("é%", is_data_stream=False, pipeline="a&b"), True, "/%C3%A9%25/_bulk?{filter}&pipeline=a%26b"),
    ],
)  # fmt: skip
def test_the_path_names_target_and_parameters(target: WriteTarget, required: bool, path: str) -> None:
    """All verdicts come back with status, error type and reason, and nothing else."""
    filter_path = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
    assert path.format(filter=filter_path) == target.path(required=required)
