"""What clipping keeps, whatever the event and the limit."""

import copy
import json
import re
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from mcwatch.sinks.syslog.clipping import clip_json, clip_text
from tests.contract.sink_events import event_document

_TEXTS = st.text(max_size=400)
_ADDRESSES = st.fixed_dictionaries({"address": _TEXTS | st.none()}, optional={"name": _TEXTS})
_EXTRA = st.dictionaries(_TEXTS, st.recursive(_TEXTS | st.integers(-9, 9), lambda inner: st.lists(inner, max_size=3)))
_MESSAGES = st.fixed_dictionaries(
    {"id": st.text(max_size=200) | st.none(), "key": st.just("9" * 32)},
    optional={
        "subject": _TEXTS | st.none(), "info": _TEXTS, "to": st.lists(_ADDRESSES, max_size=20), "extra": _EXTRA,
        "from_header": _ADDRESSES, "status": _TEXTS, "received_at": st.just("2026-01-05T09:29:02Z"),
        "spam_score": st.integers(0, 99),
    },
)  # fmt: skip
_PREVIOUS = st.none() | st.fixed_dictionaries({"id": _TEXTS, "status": _TEXTS, "info": _TEXTS})
_DOCUMENTS = st.builds(lambda message, previous: event_document(1) | {"message": message, "previous": previous},
                       _MESSAGES, _PREVIOUS)  # fmt: skip
_KEPT = ("event_id", "kind", "account", "source", "occurred_at", "observed_at")


@given(_DOCUMENTS, st.integers(1, 6000))
def test_a_clipped_event_is_valid_json_with_its_identity(document: dict[str, Any], limit: int) -> None:
    """It fits, is JSON, keeps ids, kind, account and times, and says that it was shortened."""
    payload = msgspec.json.encode(document)
    clipped = clip_json(payload, limit)
    if clipped is None:
        assert limit < 800
        return
    assert len(clipped) <= max(limit, 0)
    if len(payload) <= limit:
        assert clipped is payload
        return
    found = json.loads(clipped)
    assert found["truncated"] is True
    assert {name: found[name] for name in _KEPT} == {name: document[name] for name in _KEPT}
    assert [found["message"][name] for name in ("id", "key")] == [document["message"][name] for name in ("id", "key")]


@given(_DOCUMENTS, st.integers(1, 6000))
def test_what_is_left_was_there_before(document: dict[str, Any], limit: int) -> None:
    """Nothing is invented: a text is the beginning of the old one, a list too, everything else is equal or gone."""
    clipped = clip_json(msgspec.json.encode(document), limit)
    if clipped is None:
        return
    message, before = json.loads(clipped)["message"], document["message"]
    for name, value in message.items():
        if name in {"subject", "info"} and isinstance(value, str):
            assert before[name].startswith(value)
        elif name == "to":
            assert value == before[name][: len(value)]
        else:
            assert value == before[name]


_TREES = st.recursive(
    _TEXTS | st.integers(-9, 9) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_TEXTS, inner, max_size=5),
    max_leaves=12,
)
_IDENTITY: dict[str, Any] = {
    "@timestamp": "2026-01-05T09:29:02Z", "event_id": "1" * 32, "class_uid": 4009,
    "event": {"id": "1" * 32, "kind": "event", "created": "2026-01-05T09:29:02Z"}, "email": {"local_id": "eNp" * 100},
}  # fmt: skip
_FOREIGN = st.dictionaries(_TEXTS.filter(lambda name: name != "truncated"), _TREES, max_size=5).map(
    lambda members: members | copy.deepcopy(_IDENTITY)
)


@settings(max_examples=30)  # each one is large
@given(_FOREIGN, st.integers(1, 4000))
def test_a_clipped_document_of_another_format_keeps_its_ids(document: dict[str, Any], limit: int) -> None:
    """Whatever else it holds: it fits, is JSON, says that it was shortened, and what identifies it is still there."""
    payload = msgspec.json.encode(document)
    clipped = clip_json(payload, limit)
    if clipped is None or clipped is payload:
        assert limit < 1500 or clipped is payload
        return
    assert len(clipped) <= limit
    found = json.loads(clipped)
    assert found["truncated"] is True
    assert [found[name] for name in ("@timestamp", "event_id", "class_uid")] == ["2026-01-05T09:29:02Z", "1" * 32, 4009]
    assert (found["event"]["id"], found["email"]["local_id"]) == ("1" * 32, "eNp" * 100)
    del found["truncated"]
    _assert_part(found, document)


def _assert_part(found: Any, before: Any) -> None:  # noqa: ANN401 - any JSON
    """Check that ``found`` is ``before`` less some of its members, and beginnings of texts and lists."""
    if isinstance(found, dict):
        for name, value in found.items():
            _assert_part(value, before[name])
    elif isinstance(found, str):
        assert before.startswith(found)
    elif isinstance(found, list):
        assert found == before[: len(found)]
    else:
        assert found == before


@given(_TEXTS, st.integers(0, 500))
def test_text_is_cut_between_characters(text: str, limit: int) -> None:
    """A payload that is no JSON keeps its beginning and stays UTF-8."""
    clipped = clip_text(text.encode(), limit)
    if clipped is not None:
        assert len(clipped) <= limit
        assert text.startswith(clipped.decode())


_VALUES = st.text(st.sampled_from("ab \\=|é"), max_size=40).map(
    lambda value: value.replace("\\", "\\\\").replace("=", "\\=")
)


@given(st.lists(_VALUES, min_size=1, max_size=6), st.integers(20, 300))
def test_a_cut_extension_parses_as_the_same_keys_with_shorter_values(values: list[str], limit: int) -> None:
    """CEF that was cut has no half escape sequence, and no rest of a key in the value before it."""
    text = "CEF:0|v|p|1|k|n|3|" + " ".join(f"key{number}={value}" for number, value in enumerate(values))
    clipped = clip_text(text.encode(), limit)
    assert clipped is not None
    for number, (name, value) in enumerate(_extension(clipped.decode().split("|", 7)[7])):
        assert name == f"key{number}"
        assert _plain(values[number]).startswith(value)


def _extension(text: str) -> list[tuple[str, str]]:
    """Take a CEF extension apart: a key is a word before an unescaped =."""
    keys = list(re.finditer(r"(?:^| )(\w+)=", text)) if text else []
    ends = [*[key.start() for key in keys[1:]], len(text)][: len(keys)]
    return [(key[1], _plain(text[key.end() : end])) for key, end in zip(keys, ends, strict=True)]


def _plain(escaped: str) -> str:
    plain, rest = "", escaped
    while rest:
        if rest[0] == "\\":
            assert len(rest) > 1, "half an escape sequence"
            rest = rest[1:]
        plain, rest = plain + rest[0], rest[1:]
    return plain
