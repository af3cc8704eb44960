"""What every member of the union of formats does with every event."""

import json
import random
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from mcwatch.formats import FormatConfig
from mcwatch.interfaces import Format
from tests.unit.formats import native

TYPES = [str(member.model_fields["type"].default) for member in get_args(get_args(FormatConfig)[0])]


def format_of(name: str) -> Format:
    """Build a format with its defaults."""
    return TypeAdapter(FormatConfig).validate_python({"type": name}).build()


@pytest.fixture(params=TYPES)
def form(request: pytest.FixtureRequest) -> Format:
    """Give one format after the other."""
    return format_of(request.param)


@pytest.mark.parametrize("event", native.EVENTS.values(), ids=native.EVENTS)
def test_every_event_becomes_one_clean_payload(form: Format, event: dict[str, Any]) -> None:
    """Whatever it holds, an event becomes one payload without line end: JSON an object, text without controls."""
    payloads = form.render(native.lines(event))
    assert 1 == len(payloads)
    text = payloads[0].decode()
    assert text
    if "json" in form.content_type:
        assert b"\n" not in payloads[0]
        assert b"\r" not in payloads[0]
        assert isinstance(json.loads(text), dict)
    else:
        assert [] == [char for char in text if char != "\t" and (ord(char) < 32 or 127 <= ord(char) < 160)]
        assert [text] == text.splitlines()


def test_order_is_kept(form: Format) -> None:
    """The payloads of a batch are those of its events one by one, in their order."""
    batch = native.lines(*native.EVENTS.values())
    random.Random(4).shuffle(batch)
    assert [form.render([line])[0] for line in batch] == list(form.render(batch))


def test_same_input_same_output(form: Format) -> None:
    """Rendering is pure: twice, by another instance, and after other events, the bytes are the same."""
    batch = native.lines(*native.EVENTS.values())
    first = list(form.render(batch))
    again = list(format_of(_type_of(form)).render(batch))
    assert first == list(form.render(batch))
    assert first == again
    assert batch == native.lines(*native.EVENTS.values())


def test_nothing_becomes_nothing(form: Format) -> None:
    """An empty batch has no payloads."""
    assert [] == list(form.render([]))


def test_the_id_is_in_every_payload(form: Format) -> None:
    """Whatever else is missing, an event can be found by its id."""
    for line, payload in zip(
        native.lines(*native.EVENTS.values()), form.render(native.lines(*native.EVENTS.values())), strict=True
    ):
        assert json.loads(line)["event_id"].encode() in payload


def test_no_options_mean_json() -> None:
    """An empty mapping is the native format, as it was when there was no other."""
    assert "json" == TypeAdapter(FormatConfig).validate_python({}).type


def _type_of(form: Format) -> str:
    return next(name for name in TYPES if type(format_of(name)) is type(form))
