"""How events look to one destination, and that nothing redacted gets past."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mcwatch.app.destination import view_of
from mcwatch.domain.redaction import Redaction
from mcwatch.domain.redaction_rules import Action
from mcwatch.domain.selection import Selection
from mcwatch.formats.json import JsonFormat
from mcwatch.pipeline.batches import BatchLimits, BatchReader, View
from mcwatch.pipeline.dispatcher import Dispatcher
from mcwatch.pipeline.letterbox import Letterbox
from mcwatch.pipeline.rendering import NATIVE, Rendering
from mcwatch.settings import DestinationConfig
from tests.contract.store_kit import append, native, numbers_of
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import Lab, refused

_SECRET = b"x" * 40
"""What native() writes into the subject."""


class _Counting:
    """Counts what it renders, and fails at some events."""

    content_type = "text/plain"

    def __init__(self, *poison: int) -> None:
        self.poison = set(poison)
        self.rendered: list[int] = []

    def render(self, native: Sequence[bytes]) -> Sequence[bytes]:
        numbers = numbers_of(native)
        if self.poison & set(numbers):
            raise ZeroDivisionError
        self.rendered += numbers
        return [b"<" + line + b">" for line in native]


def test_a_defect_leaves_a_gap_where_it_struck() -> None:
    """The others are rendered one by one; the gap is empty and the defect logged with its traceback."""
    lines = [native(at) for at in range(3)]
    with capture_logs() as logs:
        payloads = Rendering("x", _Counting(1)).render(lines)
    assert [b"<" + lines[0] + b">", b"", b"<" + lines[2] + b">"] == payloads
    assert [("render_defect", 1)] == [(entry["event"], entry["events"]) for entry in logs]


def test_only_what_the_store_holds_is_native() -> None:
    """Native JSON that is redacted is a form of its own."""
    redaction = Redaction(b"key", {"subject": Action.DROP})
    assert Rendering(NATIVE, JsonFormat()).is_native
    assert not Rendering(f"{NATIVE} {redaction.name}", JsonFormat(), redaction).is_native


def _name(**options: object) -> str:
    sink = {"type": "file", "path": "out"}
    return view_of(DestinationConfig.model_validate({"name": "d", "sink": sink, **options})).rendering.name


def test_names_tell_all_that_looks_different_apart() -> None:
    """Format, its options, the redaction's rules and its key each make another name; the same makes the same one."""
    different = [
        _name(),
        _name(format={"type": "cef"}),
        _name(format={"type": "cef", "vendor": "V"}),
        _name(format={"type": "ecs"}),
        _name(redact={"key": "k1"}),
        _name(redact={"key": "k2"}),
        _name(redact={"key": "k1", "fields": {"subject": "drop"}}),
        _name(redact={"key": "k1", "fields": {"subject": "hash"}}),
        _name(redact={"key": "k1", "fields": {"info": "keep"}}),
        _name(format={"type": "ecs"}, redact={"key": "k1"}),
    ]
    assert len(different) == len(set(different))
    assert NATIVE == different[0]
    assert _name(format={"type": "ecs"}, redact={"key": "k1"}) == different[-1]
    assert not any("k1" in name for name in different)


def _reader(lab: Lab, rendering: Rendering, selection: Selection | None = None) -> BatchReader:
    return BatchReader("hook", lab.store, lab.cache, View(selection or Selection(), rendering), BatchLimits())


async def test_a_row_is_rendered_once_for_all_who_show_it_alike(lab: Lab) -> None:
    """Destinations with the same rendering share the bytes; another rendering makes its own."""
    await lab.append(range(3))
    form = _Counting()
    for _ in range(2):
        assert await _reader(lab, Rendering("a", form)).next({lab.acme: 0}, lab.accounts)
    assert [0, 1, 2] == form.rendered
    assert await _reader(lab, Rendering("a", form)).next({lab.acme: 2}, lab.accounts)
    assert [0, 1, 2] == form.rendered
    assert await _reader(lab, Rendering("b", form)).next({lab.acme: 0}, lab.accounts)
    assert [0, 1, 2, 0, 1, 2] == form.rendered


async def test_what_is_shared_is_whole(lab: Lab) -> None:
    """A row of which some event could not be rendered is not handed to others: the defect may have passed by then."""
    await lab.append(range(3))
    form = _Counting(1)
    first = await _reader(lab, Rendering("a", form)).next({lab.acme: 0}, lab.accounts)
    assert first is not None
    assert [1] == sorted(first.refusals)
    form.poison.clear()
    second = await _reader(lab, Rendering("a", form)).next({lab.acme: 0}, lab.accounts)
    assert second is not None
    assert {} == second.refusals


async def test_a_part_is_rendered_by_itself(lab: Lab) -> None:
    """What a destination does not want is not rendered for it, and payloads stay beside their events."""
    await append(
        lab.store, lab, lab.feed, [native(at, kind="message.seen" if at % 2 else "queue.left") for at in range(6)]
    )
    form = _Counting()
    reader = _reader(lab, Rendering("a", form), Selection(kinds=("message.*",)))
    inflight = await reader.next({lab.acme: 0}, lab.accounts)
    assert inflight is not None
    assert [1, 3, 5] == form.rendered
    assert [b"<" + line + b">" for line in inflight.batch.native] == list(inflight.batch.payloads)


async def test_a_defect_that_meets_all_comes_out(lab: Lab) -> None:
    """When nothing of a batch can be rendered no event is to blame."""
    await lab.append(range(2))
    with pytest.raises(ZeroDivisionError):
        await _reader(lab, Rendering("a", _Counting(0, 1))).next({lab.acme: 0}, lab.accounts)


async def test_the_sink_sees_nothing_redacted_and_the_dead_letter_everything(lab: Lab, tmp_path: Path) -> None:
    """Redaction is at the edge: payloads are without the subject, the letter keeps the event as it was recorded."""
    redaction = Redaction(b"key", {"subject": Action.DROP})
    rendering = Rendering(f"{NATIVE} {redaction.name}", JsonFormat(), redaction)
    await append(lab.store, lab, lab.feed, [native(at, pad=40) for at in range(3)])
    sink = FakeSink(refused(1))
    letterbox = Letterbox("hook", lab.store, lab.health, 100)
    dispatcher = Dispatcher(lab.outlet(sink), lab.store, _reader(lab, rendering), BatchLimits(), letterbox)
    dispatcher.drain()
    await dispatcher.run(lab.accounts)
    payloads = [payload for batch in sink.batches for payload in batch.payloads]
    assert 3 == len(payloads)
    assert not any(_SECRET in payload for payload in payloads)
    assert [f"{at:032x}" for at in range(3)] == [head.event_id for head in sink.batches[0].heads]
    with_content = await lab.store.read(lab.acme, 0, 1 << 20)
    assert _SECRET in (with_content[0].lines or b"")
