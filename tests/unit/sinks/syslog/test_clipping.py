"""Where a text is cut, and when a document cannot be shortened."""

import json

import msgspec
import pytest
from pydantic import TypeAdapter

from mcwatch.formats import FormatConfig
from mcwatch.sinks.syslog.clipping import clip_json, clip_text
from tests.contract.sink_events import event_document

_FORMATS: TypeAdapter[FormatConfig] = TypeAdapter(FormatConfig)

_CEF = "CEF:0|v|p|1|k|n|3|"


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        (r"msg=a\=b", 6, "msg=a"),
        (r"msg=a\=b", 7, r"msg=a\="),
        (r"msg=a\\\\b", 8, r"msg=a\\"),
        (r"msg=a\\\\b", 7, r"msg=a\\"),
        (r"msg=a\\\\b", 6, "msg=a"),
        ("msg=a b suser=c", 11, "msg=a b"),
        ("msg=a b suser=c", 13, "msg=a b"),
        ("msg=a b suser=c", 14, "msg=a b suser="),
        ("a=b\tsubject=c", 8, "a=b"),
        ("msg=a", 2, ""),
        ("msg=naïve", 7, "msg=na"),
    ],
)
def test_text_is_cut_where_a_reader_does_not_trip(text: str, limit: int, expected: str) -> None:
    """Not within a character, an escape sequence or a key."""
    assert clip_text((_CEF + text).encode(), len(_CEF) + limit) == (_CEF + expected).encode()


@pytest.mark.parametrize("limit", [0, -5])
def test_nothing_left_is_none(limit: int) -> None:
    """Where the header alone is too long there is no text to send."""
    assert clip_text(b"text", limit) is None


@pytest.mark.parametrize("payload", [b'{"a": ' + b"1" * 900, b"[" * 900, b'{"a":' * 5000, b'["' + b"x" * 900 + b'"]'])
def test_what_is_no_document_is_none(payload: bytes) -> None:
    """Broken JSON, JSON nested beyond reason, and JSON that is no object are for the dead letters."""
    assert clip_json(payload, 150) is None


@pytest.mark.parametrize("kind", ["json", "ecs", "cim", "ocsf", "cef", "leef"])
@pytest.mark.parametrize("limit", [8000, 2000, 1000])
def test_every_format_can_be_made_to_fit(kind: str, limit: int) -> None:
    """An event with everything too long fits and keeps its id, in whatever format it comes."""
    document = event_document(1, 'subject "é" ' * 300)
    document["message"] |= {
        "id": "eNp" * 110,
        "to": [{"address": f"user{number}@corp.example", "name": 'Amy "A" = | \\ é'} for number in range(200)],
        "extra": {f"member{number}": "value" * 20 for number in range(50)},
        "info": "info" * 200,
    }
    form = _FORMATS.validate_python({"type": kind}).build()
    (payload,) = form.render([msgspec.json.encode(document)])
    is_json = form.content_type == "application/json"
    clipped = (clip_json if is_json else clip_text)(payload, limit)
    assert len(payload) > limit
    assert clipped is not None
    assert limit * 0.7 < len(clipped) <= limit
    assert f"{1:032x}" in clipped.decode()
    if is_json:
        assert json.loads(clipped)["truncated"] is True
