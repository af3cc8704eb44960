"""What clipping keeps, whatever the event and the limit."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.sinks.syslog.clipping import clip
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
    clipped = clip(payload, limit)
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
    clipped = clip(msgspec.json.encode(document), limit)
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


@given(_TEXTS.filter(lambda text: not text.lstrip().startswith(("{", "["))), st.integers(0, 500))
def test_text_is_cut_between_characters(text: str, limit: int) -> None:
    """A payload that is no JSON keeps its beginning and stays UTF-8."""
    clipped = clip(text.encode(), limit)
    if clipped is not None:
        assert len(clipped) <= limit
        assert text.startswith(clipped.decode())
