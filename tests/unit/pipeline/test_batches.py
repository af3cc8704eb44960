"""Reading the next batch from where positions stand."""

from collections.abc import Sequence

import pytest

from mcwatch.domain.errors import McwatchError
from mcwatch.domain.page import Feed
from mcwatch.domain.selection import Selection
from mcwatch.pipeline.batches import BatchLimits
from mcwatch.pipeline.cache import LineCache
from mcwatch.pipeline.inflight import InFlight
from tests.contract.store_kit import append, native, numbers_of
from tests.unit.pipeline.lab import Lab
from tests.unit.pipeline.queued import settlement_of


class _Upper:
    """A format that is easy to recognise."""

    content_type = "text/plain"

    def render(self, native: Sequence[bytes]) -> Sequence[bytes]:
        return [line.upper() for line in native]


def _numbers(inflight: InFlight | None) -> list[int]:
    return [] if inflight is None else numbers_of(inflight.batch.native)


@pytest.fixture(params=["warm", "cold", "tiny"])
def lab_with_cache(request: pytest.FixtureRequest, lab: Lab) -> Lab:
    """Give a lab whose cache learns from reads, never keeps anything, or keeps almost nothing."""
    lab.cache = LineCache({"warm": 1 << 20, "cold": 0, "tiny": 2_000}[request.param])
    return lab


async def test_nothing_waits(lab: Lab) -> None:
    """Without events there is no batch."""
    assert await lab.reader().next({lab.acme: 0}, lab.accounts) is None


async def test_batch_keeps_to_its_limits(lab_with_cache: Lab) -> None:
    """A batch has at most max_events and max_bytes, begins in the middle of a row and crosses rows."""
    lab = lab_with_cache
    for at in range(0, 20, 5):
        await lab.append(range(at, at + 5))
    size = len(native(0))
    reader = lab.reader(BatchLimits(max_events=4))
    for _ in range(2):
        assert [3, 4, 5, 6] == _numbers(await reader.next({lab.acme: 3}, lab.accounts))
        assert [18, 19] == _numbers(await reader.next({lab.acme: 18}, lab.accounts))
    reader = lab.reader(BatchLimits(max_bytes=7 * size))
    assert list(range(3, 10)) == _numbers(await reader.next({lab.acme: 3}, lab.accounts))
    reader = lab.reader(BatchLimits(max_bytes=size - 1))
    assert [3] == _numbers(await reader.next({lab.acme: 3}, lab.accounts))


async def test_positions_stay_as_they_are(lab: Lab) -> None:
    """Reading moves nothing."""
    await lab.append(range(3))
    positions = {lab.acme: 0}
    reader = lab.reader()
    assert 3 == reader.waiting(positions)
    for _ in range(2):
        assert [0, 1, 2] == _numbers(await reader.next(positions, lab.accounts))
    assert {lab.acme: 0} == positions


async def test_an_account_that_is_not_delivered_here_is_left_alone(lab: Lab) -> None:
    """Of an account whose position is not known nothing is read: it may be another replica's."""
    await lab.append(range(3))
    reader = lab.reader()
    assert 0 == reader.waiting({})
    assert await reader.next({}, lab.accounts) is None


async def _two_more(lab: Lab) -> list[Feed]:
    return [lab.feed, await lab.account("corp"), await lab.account("dept")]


async def test_accounts_take_turns(lab: Lab) -> None:
    """When each batch has room for one account alone, each account is first in turn."""
    feeds = await _two_more(lab)
    for index, feed in enumerate(feeds):
        await lab.append(range(index * 100, index * 100 + 50), feed)
    reader = lab.reader(BatchLimits(max_events=10))
    positions = {feed.account_id: 0 for feed in feeds}
    firsts = {_numbers(await reader.next(positions, lab.accounts))[0] for _ in range(3)}
    assert {0, 100, 200} == firsts


async def test_batch_is_filled_from_several_accounts(lab: Lab) -> None:
    """Room that one account leaves goes to the next ones, each event with its account's position."""
    feeds = await _two_more(lab)
    for index, feed in enumerate(feeds):
        await lab.append(range(index * 100, index * 100 + 3), feed)
    positions = {feed.account_id: 1 for feed in feeds}
    inflight = await lab.reader(BatchLimits(max_events=5)).next(positions, lab.accounts)
    assert inflight is not None
    assert 5 == len(inflight.batch)
    inflight.accept_all()
    settlement = settlement_of(inflight)
    assert settlement is not None
    assert 5 == sum(step.delivered for step in settlement.progress)
    assert [2, 3, 3] == sorted(step.position for step in settlement.progress)


async def test_bytes_are_shared_among_accounts(lab: Lab) -> None:
    """An event that does not fit in beside those of another account waits for the next batch."""
    corp = await lab.account("corp")
    big = 10_000
    for feed in (lab.feed, corp):
        await append(lab.store, lab, feed, [native(1, account=feed.account, pad=big)])
    reader = lab.reader(BatchLimits(max_bytes=big * 3 // 2))
    positions = {lab.acme: 0, corp.account_id: 0}
    sizes = [len(inflight.batch) for _ in range(2) if (inflight := await reader.next(positions, lab.accounts))]
    assert [1, 1] == sizes


async def test_row_evicted_between_asking_and_reading(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that the cache gives up after it was counted on is read again, whole."""
    await lab.append(range(5))
    reader = lab.reader()
    assert [0, 1, 2, 3, 4] == _numbers(await reader.next({lab.acme: 0}, lab.accounts))
    read = lab.store.read
    calls: list[int] = []

    async def read_and_evict(account: int, position: int, max_bytes: int, have: Sequence[int] = ()) -> object:
        calls.append(len(have))
        rows = await read(account, position, max_bytes, have)
        if len(calls) == 1:
            assert rows[0].lines is None
            lab.cache.put(99, 0, [b"x" * (1 << 20)])
        return rows

    monkeypatch.setattr(lab.store, "read", read_and_evict)
    assert [2, 3, 4] == _numbers(await reader.next({lab.acme: 2}, lab.accounts))
    assert [1, 0] == calls


async def test_selection_leaves_out_and_passes(lab: Lab) -> None:
    """Only selected events are sent; the others count as not selected; nothing selected is an empty batch."""
    events = [native(at, kind="message.seen" if at % 2 else "queue.left") for at in range(6)]
    await append(lab.store, lab, lab.feed, events)
    inflight = await lab.reader(selection=Selection(kinds=("message.*",))).next({lab.acme: 0}, lab.accounts)
    assert [1, 3, 5] == _numbers(inflight)
    inflight = await lab.reader(selection=Selection(accounts=("corp",))).next({lab.acme: 0}, lab.accounts)
    assert inflight is not None
    assert inflight.is_done
    settlement = settlement_of(inflight)
    assert settlement is not None
    assert [(6, 0, 6)] == [(step.position, step.delivered, step.not_selected) for step in settlement.progress]


async def test_removed_account_is_known_by_its_events(lab: Lab) -> None:
    """Events of an account that is gone from the configuration are still selected by its name."""
    await lab.append(range(3))
    reader = lab.reader(selection=Selection(accounts=("ac*",)))
    assert [0, 1, 2] == _numbers(await reader.next({lab.acme: 0}, {}))


async def test_payloads_are_rendered(lab: Lab) -> None:
    """Payloads are what the format makes of the native lines, one each."""
    await lab.append(range(2))
    inflight = await lab.reader(form=_Upper()).next({lab.acme: 0}, lab.accounts)
    assert inflight is not None
    assert [native(0).upper(), native(1).upper()] == inflight.batch.payloads


async def test_events_that_cannot_be_read_are_an_error(lab: Lab) -> None:
    """A position behind which nothing can be read is said aloud, for it would stall the destination without a word."""
    await lab.append(range(1))
    assert [0] == _numbers(await lab.reader().next({lab.acme: 0}, lab.accounts))
    with pytest.raises(McwatchError, match="none can be read"):
        await lab.reader().next({lab.acme: -5}, lab.accounts)
