"""How many dead letters a destination may have."""

import pytest

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.outbox import LetterChoice, Progress, Settlement
from mcwatch.pipeline.letterbox import Letterbox
from tests.contract.store_kit import rejected
from tests.unit.pipeline.lab import Lab


async def _refuse(lab: Lab, count: int) -> None:
    await lab.append(range(count))
    letters = [rejected(lab.acme, number) for number in range(count)]
    await lab.store.settle(Settlement("hook", [Progress(lab.acme, count, 0, 0)], letters))


def _box(lab: Lab, most: int) -> Letterbox:
    return Letterbox("hook", lab.store, lab.health, most)


async def test_below_its_limit_nobody_is_asked(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is kept in step with the settlements: no question to the store per batch."""
    box = _box(lab, 10)
    await box.count()

    async def never(_: str) -> int:
        raise AssertionError

    monkeypatch.setattr(lab.store, "dead_letter_count", never)
    box.add(9)
    assert not await box.is_full()


async def test_what_was_there_counts(lab: Lab) -> None:
    """Dead letters of earlier processes count, and the destination is down with the numbers and the remedy."""
    await _refuse(lab, 3)
    box = _box(lab, 3)
    await box.count()
    assert await box.is_full()
    assert (False, "it has 3 dead letters, and store.max_dead_letters is 3") == (
        lab.condition().up,
        lab.condition().reason,
    )


async def test_room_made_elsewhere_is_found(lab: Lab) -> None:
    """A full one looks into the store each time, so that discarding or retrying opens it again."""
    await _refuse(lab, 3)
    box = _box(lab, 3)
    await box.count()
    assert await box.is_full()
    await lab.store.discard(LetterChoice(destination="hook"), 1)
    assert not await box.is_full()
    assert lab.condition().up is True


async def test_a_number_that_is_too_high_is_put_right(lab: Lab) -> None:
    """What was discarded meanwhile does not count when the limit seems to be reached."""
    box = _box(lab, 3)
    await box.count()
    box.add(5)
    assert not await box.is_full()
    assert lab.condition().up is None


async def test_other_letters_do_not_count(lab: Lab) -> None:
    """A destination is stopped by its own dead letters alone."""
    await lab.store.enrol({"hook": False, "other": False})
    await lab.append(range(3))
    letters = [rejected(lab.acme, number) for number in range(3)]
    await lab.store.settle(Settlement("other", [Progress(lab.acme, 3, 0, 0)], letters))
    box = _box(lab, 3)
    await box.count()
    assert not await box.is_full()


async def test_a_store_that_is_busy_changes_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The known number stands while the store cannot be read."""
    await _refuse(lab, 3)
    box = _box(lab, 3)
    await box.count()

    async def busy(_: str) -> int:
        raise StoreUnavailable("busy")

    monkeypatch.setattr(lab.store, "dead_letter_count", busy)
    assert await box.is_full()
