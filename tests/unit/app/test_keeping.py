"""What the store keeps beside the log, as commands see it."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from mcwatch.app.keeping import keeping_routes
from mcwatch.domain.errors import PermanentError
from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.domain.record import Unreadable
from mcwatch.domain.resending import Discarded, ForgetRequest, Forgotten, LetterRequest, ShownLetter
from mcwatch.httpserver.control import ControlRequest
from tests.contract.store_kit import native, rejected
from tests.unit.pipeline.lab import Lab, lab_at


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Give a lab."""
    async with lab_at(tmp_path) as opened:
        yield opened


async def _ask(lab: Lab, path: str, question: msgspec.Struct, configured: tuple[str, ...] = ("hook",)) -> object:
    routes = {route.path: route.answer for route in keeping_routes(lab.store, configured)}
    return await routes[path](ControlRequest({}, msgspec.json.encode(question)))


async def _refuse(lab: Lab, count: int, destination: str = "hook") -> None:
    await lab.append(range(count))
    letters = [rejected(lab.acme, number) for number in range(count)]
    await lab.store.settle(Settlement(destination, [Progress(lab.acme, count, 0, 0)], letters))


async def test_showing(lab: Lab) -> None:
    """A dead letter is shown with what it holds; bytes that are no text are escaped, for JSON has no others."""
    await _refuse(lab, 2)
    row = Unreadable(b'{"a": "\xff"}', "why")
    await lab.store.commit_page(lab.feed, lambda page: page.quarantine([row], lab.clock.now()))
    shown = await _ask(lab, "/dead-letters/show", LetterRequest(ids=[3, 2]))
    assert isinstance(shown, list)
    assert [(2, native(1).decode()), (3, '{"a": "\\xff"}')] == [(one.id, one.body) for one in shown]
    assert all(isinstance(one, ShownLetter) for one in shown)
    assert b"xff" in msgspec.json.encode(shown)
    assert [] == await _ask(lab, "/dead-letters/show", LetterRequest(ids=[99]))


async def test_discarding_goes_piece_by_piece(lab: Lab) -> None:
    """Thousands go a thousand at a time, each piece logged; the answer says whether to ask again."""
    await _refuse(lab, 1200)
    with capture_logs() as logs:
        first = await _ask(lab, "/dead-letters/discard", LetterRequest(destination="hook"))
        second = await _ask(lab, "/dead-letters/discard", LetterRequest(destination="hook"))
    assert [Discarded(count=1000, more=True), Discarded(count=200, more=False)] == [first, second]
    assert [1000, 200] == [entry["count"] for entry in logs if entry["event"] == "dead_letters_discarded"]


async def test_discarding_nothing_is_no_event(lab: Lab) -> None:
    """Where nothing fits nothing is deleted, and nothing is logged as deleted."""
    with capture_logs() as logs:
        assert Discarded(count=0, more=False) == await _ask(lab, "/dead-letters/discard", LetterRequest(ids=[1]))
    assert [] == logs


async def test_forgetting(lab: Lab) -> None:
    """A destination that is gone is released at once, with a warning that says what it had not received."""
    await lab.append(range(5))
    with capture_logs() as logs:
        forgotten = await _ask(lab, "/destinations/forget", ForgetRequest(name="hook"), ())
    assert Forgotten(name="hook", waiting=5, dead_letters=0) == forgotten
    assert [("destination_released", "hook", 5)] == [
        (entry["event"], entry["destination"], entry["waiting"]) for entry in logs
    ]


async def test_a_configured_destination_is_not_forgotten(lab: Lab) -> None:
    """A loop still delivers to it: it has to go from the configuration first."""
    with pytest.raises(PermanentError, match="is configured") as caught:
        await _ask(lab, "/destinations/forget", ForgetRequest(name="hook"))
    assert "take it out" in caught.value.remedy
    assert ["hook"] == await lab.store.destinations()


async def test_an_unknown_destination_is_said_with_those_that_are_gone(lab: Lab) -> None:
    """The remedy names what could be forgotten."""
    await lab.store.enrol({"hook": False, "old": False})
    with pytest.raises(PermanentError, match="knows no destination 'odl'") as caught:
        await _ask(lab, "/destinations/forget", ForgetRequest(name="odl"))
    assert caught.value.remedy.endswith(": old")
    with pytest.raises(PermanentError) as caught:
        await _ask(lab, "/destinations/forget", ForgetRequest(name="x"), ("hook", "old"))
    assert caught.value.remedy.endswith(": none")
