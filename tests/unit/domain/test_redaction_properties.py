"""Whatever an event holds, nothing redacted leaves."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mcwatch.domain.event import Event, EventKind, Message, encode_lines
from mcwatch.domain.record import Address
from mcwatch.domain.redaction import Redaction
from mcwatch.domain.redaction_rules import FIELDS, Action
from mcwatch.formats import FormatConfig
from mcwatch.formats.base import events
from tests.unit.domain.rows import TIMES, WHOLES, maybe

_MARK = "§Geheim"
"""Begins every text that is to be hidden, so that the shortest can be told from what happens to be in an event."""
_HOSTILE = st.text(max_size=12) | st.sampled_from(
    ['"', "\\", '","subject":"', "\r\n", "\0", "\u2028", "\u202e", "😀", "@", "a@b", "x" * 400, "<b>", "{}", "null"]
)
_SECRETS = _HOSTILE.map(lambda text: _MARK + text)
_ADDRESSES = st.builds(Address, maybe(_SECRETS | st.just("")), maybe(_SECRETS))
_MAILBOXES = st.builds(Address, _SECRETS.map(lambda text: text + "@corp.example"), st.none())
_EXTRAS = st.dictionaries(
    st.sampled_from(["Subject", "fromHdr", "to", "x", "y"]) | _SECRETS,
    st.recursive(_SECRETS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_SECRETS, inner, max_size=2)),
    max_size=3,
)


def _messages(addresses: st.SearchStrategy[Address]) -> st.SearchStrategy[Message]:
    senders = maybe(addresses)
    return st.builds(
        Message, id=maybe(_SECRETS), key=_SECRETS, status=maybe(st.just("held")), info=maybe(_SECRETS),
        subject=maybe(_SECRETS | st.just("")), route=maybe(st.just("inbound")), from_envelope=senders,
        from_header=senders, to=maybe(st.lists(addresses, max_size=3)), sender_ip=maybe(_SECRETS),
        attachments=maybe(st.booleans()), received_at=maybe(TIMES), spam_score=maybe(WHOLES | st.floats(-9, 9)),
        size=maybe(WHOLES), locked_until=maybe(TIMES), extra=_EXTRAS,
    )  # fmt: skip


def _events(addresses: st.SearchStrategy[Address] = _ADDRESSES) -> st.SearchStrategy[bytes]:
    previous = st.fixed_dictionaries(
        {}, optional={"id": maybe(_SECRETS), "status": st.just("accepted"), "info": maybe(_SECRETS), "attempts": WHOLES}
    )
    moment = "2026-01-05T09:30:00.412Z"
    return st.builds(
        Event, st.just("mcwatch.event/1"), st.just("6f0c" * 8), st.sampled_from(EventKind), st.just("acme"),
        st.just("message_finder"), st.just(moment), st.just(moment), _messages(addresses), maybe(previous), st.none(),
    ).map(lambda event: encode_lines([event])[:-1])  # fmt: skip


def _strict(action: Action) -> Redaction:
    """Return the redaction that shows least, each field with this action where it can have it."""
    rules = {field: action if action in can else Action.DROP for field, can in FIELDS.items() if field != "previous"}
    return Redaction(b"key", rules | {"extra.x": Action.HASH}, ["previous"])


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from (*_texts(name), *_texts(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


@pytest.mark.parametrize("action", [Action.DROP, Action.HASH])
@settings(max_examples=30)
@given(natives=st.lists(_events(), max_size=2))
def test_nothing_redacted_is_in_the_bytes(action: Action, natives: list[bytes]) -> None:
    """No hidden text occurs in the output, as it is, escaped or in lower case; what comes out is a native event."""
    found = _strict(action).apply(natives)
    assert [event.event_id for event in events(found)] == ["6f0c" * 8] * len(natives)
    output = b"\n".join(found).lower()
    hidden = {text for native in natives for text in _texts(msgspec.json.decode(native)) if _MARK in text} | {_MARK}
    for text in hidden:
        for written in (text, json.dumps(text)[1:-1], msgspec.json.encode(text)[1:-1].decode()):
            assert written.lower().encode() not in output
    assert len(natives) == len(b"\n".join(found).splitlines())


@pytest.mark.parametrize("config", get_args(get_args(FormatConfig)[0]), ids=lambda config: str(config.__name__))
@settings(max_examples=30)
@given(natives=st.lists(_events(), min_size=1, max_size=2))
def test_no_format_brings_it_back(config: Any, natives: list[bytes]) -> None:  # noqa: ANN401 - members of a union
    """Every format renders what a redaction leaves, and nothing else."""
    form = TypeAdapter(config).validate_python({"type": config.model_fields["type"].annotation.__args__[0]}).build()
    for action in (Action.DROP, Action.HASH):
        payloads = form.render(_strict(action).apply(natives))
        assert len(natives) == len(payloads)
        assert not any(mark in payload for mark in (_MARK.encode(), b"Geheim", b"corp.example") for payload in payloads)


@given(native=_events(_MAILBOXES))
def test_a_domain_is_all_that_is_left_of_an_address(native: bytes) -> None:
    """What stands before the last @ goes, whatever it is."""
    rules = {field: Action.DOMAIN if "address" in field else Action.DROP for field in FIELDS}
    [found] = Redaction(b"key", rules).apply([native])
    [event] = events([found])
    mail, before = event.message, msgspec.json.decode(native)["message"]
    assert _MARK.encode() not in found
    senders = [mail.from_envelope, mail.from_header, *(mail.to or ())]
    assert {"corp.example"} >= {sender.address for sender in senders if sender is not None}
    assert len(before.get("to") or ()) == len(mail.to or ())


@given(native=_events())
def test_dropping_twice_is_dropping_once(native: bytes) -> None:
    """Beside the ids, which are hashed again, a second pass of a dropping redaction changes nothing."""
    strict = _strict(Action.DROP)
    once = strict.apply([native])
    [first], [second] = events(once), events(strict.apply(once))
    for event in (first, second):
        event.message.id = event.message.key = None
        if event.previous:
            event.previous.pop("id", None)
        event.message.extra = {}
    assert first == second


@given(native=_events(_MAILBOXES))
def test_a_domain_cut_twice_leaves_nothing(native: bytes) -> None:
    """A second pass never shows more than the first: a bare domain is an address without @."""
    rules = {field: Action.DOMAIN for field in FIELDS if "address" in field}
    twice = Redaction(b"key", rules)
    [event] = events(twice.apply(twice.apply([native])))
    assert (None, None, None) == (event.message.from_envelope, event.message.from_header, event.message.to or None)


@settings(max_examples=30)
@given(first=_events(), second=_events(), key=st.binary(min_size=1))
def test_equal_values_have_equal_hashes(first: bytes, second: bytes, key: bytes) -> None:
    """Two hashed subjects, or ids, are equal exactly where the values were."""
    rule = Redaction(key, {"subject": Action.HASH})
    before = [msgspec.json.decode(native)["message"] for native in (first, second)]
    after = [event.message for event in events(rule.apply([first, second]))]
    for name in ("id", "subject"):
        assert (before[0].get(name) == before[1].get(name)) == (getattr(after[0], name) == getattr(after[1], name))


_KEEPS_ALL = Redaction(b"key", {}, [*FIELDS, *(f"extra.{name}" for name in ("Subject", "fromHdr", "to"))])


@given(native=_events())
def test_what_is_kept_is_unchanged(native: bytes) -> None:
    """With everything kept only the ids differ."""
    [found] = _KEEPS_ALL.apply([native])
    before, after = msgspec.json.decode(native), msgspec.json.decode(found)
    for document in (before, after):
        _without_ids(document)
    assert before == after


def _without_ids(document: dict[str, Any]) -> None:
    message, previous = document["message"], document["previous"] or {}
    document["message"] = {"extra": {}} | {name: message[name] for name in message if name not in {"id", "key"}}
    document["previous"] = {name: previous[name] for name in previous if name != "id"}
