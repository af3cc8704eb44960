"""Pages in: every row comes to one of new, duplicate, undecodable, and a repeated page to nothing."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.domain.event import finder_fingerprints, prefix
from mcwatch.domain.identity import Identity
from mcwatch.domain.lifecycle.content import number_rows
from mcwatch.domain.lifecycle.queue import entry_key
from mcwatch.domain.page import FinderPage, PageCounts, PageTransaction, QueuePage
from mcwatch.domain.record import Record, Unreadable
from mcwatch.pipeline.ingest import Ingest
from mcwatch.store.sqlite import SqliteStore
from tests.contract.store_kit import assert_identities, events_in
from tests.unit.pipeline.lab import AT, Lab, page, row

QUEUE = "processing_queue"


def _queue_page(rows: list[Record], *, complete: bool = True) -> QueuePage:
    feed = prefix("acme", QUEUE)
    present = frozenset(entry_key(feed, "processing", one) for one in rows) if complete else None
    return QueuePage(queue="processing", gone_after=2, rows=rows, present=present)


async def _kinds(lab: Lab) -> list[str]:
    rows = await lab.store.read(lab.acme, 0, 1 << 20)
    return [msgspec.json.decode(line)["kind"] for one in rows for line in (one.lines or b"").splitlines()]


async def test_finder_page_is_recorded_once(lab: Lab) -> None:
    """New rows become events, in order; the same page again only counts duplicates and moves its cursor."""
    ingest = lab.ingest()
    outcome = await ingest.commit(page([row(1), row(2, secs=5), row(1)], all=b"1"))
    assert PageCounts(new=2, duplicate=1) == outcome.counts
    assert {"message.seen": 2} == dict(outcome.kinds)
    outcome = await ingest.commit(page([row(1), row(2, secs=5), row(1)], all=b"2"))
    assert PageCounts(duplicate=3) == outcome.counts
    assert b"" == outcome.lines
    assert {"all": b"2"} == (await lab.store.progress(lab.feed)).cursors
    assert ["message.seen"] * 2 == await _kinds(lab)
    assert 2 == lab.store.heads()[lab.acme]


async def test_state_of_a_known_mail_is_a_change(lab: Lab) -> None:
    """Another state of the same id is an event of its own, and coming back to an earlier one is not."""
    ingest = lab.ingest()
    for status in ("held", "accepted", "held"):
        await ingest.commit(page([row(1, status)]))
    assert ["message.seen", "message.changed"] == await _kinds(lab)


async def test_committed_lines_are_at_hand(lab: Lab) -> None:
    """What was committed is in the cache under its offset, exactly as the store gives it back."""
    await lab.ingest().commit(page([row(1)]))
    await lab.ingest().commit(page([row(2), row(3)]))
    (_, second) = await lab.store.read(lab.acme, 0, 1 << 20)
    assert second.lines is not None
    assert second.lines.splitlines() == lab.cache.get(lab.acme, 1)


async def test_page_that_is_not_committed_leaves_no_trace(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the store takes no page, neither cache nor metrics know of it, and the page can come again."""

    async def refuse(*_: object) -> None:
        raise StoreUnavailable("full")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "commit_page", refuse)
        with pytest.raises(StoreUnavailable):
            await lab.ingest().commit(page([row(1)]))
    assert [] == list(lab.cache.natives_of(lab.acme))
    assert lab.metric("events_total", account="acme", kind="message.seen") is None
    assert 1 == (await lab.ingest().commit(page([row(1)]))).counts.new


async def test_work_can_run_twice(lab: Lab) -> None:
    """A page whose first transaction was undone for a neighbour's sake gives the same result the second time."""
    from mcwatch.pipeline.ingest import ingest_page

    rows = page([row(1), row(2)], all=b"1")
    results = []

    def undone(transaction: PageTransaction) -> None:
        results.append(ingest_page(transaction, lab.feed, rows, AT))
        raise KeyError

    with pytest.raises(KeyError):
        await lab.store.commit_page(lab.feed, undone)
    results.append(await lab.store.commit_page(lab.feed, lambda page: ingest_page(page, lab.feed, rows, AT)))
    assert results[0] == results[1]


async def test_unreadable_row_is_kept_once(lab: Lab) -> None:
    """A row nobody can read becomes one dead letter; the same bytes again are a duplicate; its neighbours go on."""
    bad = [Unreadable(b'{"id":', "cut short"), Unreadable(b"\xff", "no text"), Unreadable(b"\xff", "no text")]
    ingest = lab.ingest()
    outcome = await ingest.commit(FinderPage(rows=[row(1)], unreadable=bad))
    assert PageCounts(new=1, duplicate=1, undecodable=2) == outcome.counts
    outcome = await ingest.commit(FinderPage(rows=[row(1)], unreadable=bad))
    assert PageCounts(duplicate=4) == outcome.counts
    letters = await lab.store.dead_letters("", 10)
    assert {("cut short", 6), ("no text", 1)} == {(one.detail, one.size) for one in letters}
    assert 2 == len(letters)
    snapshot = await lab.store.snapshot()
    assert (8, 1, 5, 2) == (
        snapshot.feeds[0].received,
        snapshot.feeds[0].new,
        snapshot.feeds[0].duplicate,
        snapshot.feeds[0].undecodable,
    )
    assert_identities(snapshot)


async def test_queue_entries_come_and_go(lab: Lab) -> None:
    """An entry enters, changes, is repeated for free, and leaves after two complete polls without it."""
    feed = await lab.store.feed("acme", QUEUE)
    ingest = lab.ingest(feed)
    first = row(1)
    changed = row(1)
    changed.attempts = 2
    counts = []
    for rows in ([first], [first], [changed], [], []):
        lab.clock.advance(30)
        outcome = await ingest.commit(_queue_page(list(rows)))
        counts.append((outcome.counts.new, outcome.counts.duplicate, len(outcome.left)))
    assert [(1, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 0), (0, 0, 1)] == counts
    assert ["queue.entered", "queue.changed", "queue.left"] == await _kinds(lab)
    dwell = lab.metric("queue_dwell_seconds_sum", account="acme", queue="processing")
    assert timedelta(seconds=60).total_seconds() == dwell
    await ingest.commit(_queue_page([first]))
    assert "queue.entered" == (await _kinds(lab))[-1]
    ids = [msgspec.json.decode(line)["event_id"] for one in await lab.store.read(lab.acme, 0, 1 << 20)
           for line in (one.lines or b"").splitlines()]  # fmt: skip
    assert len(ids) == len(set(ids)), "another stay has ids of its own"


async def test_incomplete_poll_makes_nobody_leave(lab: Lab) -> None:
    """Pages of a poll that was not complete never count an entry as missing."""
    ingest = lab.ingest(await lab.store.feed("acme", QUEUE))
    await ingest.commit(_queue_page([row(1)]))
    for _ in range(5):
        await ingest.commit(_queue_page([], complete=False))
    assert ["queue.entered"] == await _kinds(lab)


async def test_repeated_queue_page_makes_no_events(lab: Lab) -> None:
    """The same snapshot again and again writes one event per entry."""
    ingest = lab.ingest(await lab.store.feed("acme", QUEUE))
    for _ in range(4):
        outcome = await ingest.commit(_queue_page([row(1), row(2), row(2)]))
        assert 3 == outcome.counts.received
    assert ["queue.entered"] * 2 == await _kinds(lab)


_ROWS = st.lists(
    st.builds(
        lambda number, status, secs: row(number, status, secs=secs),
        st.integers(0, 4),
        st.sampled_from(["held", "accepted", "rejected"]),
        st.sampled_from([0, 1, 3600]),
    ),
    max_size=8,
)
_BAD = st.lists(st.builds(lambda byte: Unreadable(bytes([byte]), "why"), st.integers(0, 5)), max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(st.lists(st.tuples(_ROWS, _BAD), max_size=4))
async def test_every_row_is_counted_once(lab: Lab, pages: list[tuple[list[Record], list[Unreadable]]]) -> None:
    """For any pages: received = new + duplicate + undecodable, and there is one event per new row."""
    before = lab.store.heads()[lab.acme]
    new = 0
    for rows, bad in pages:
        outcome = await lab.ingest().commit(FinderPage(rows=rows, unreadable=bad))
        assert len(rows) + len(bad) == outcome.counts.received
        new += outcome.counts.new
    assert new == lab.store.heads()[lab.acme] - before
    assert_identities(await lab.store.snapshot())


async def test_events_read_back_in_order(lab: Lab) -> None:
    """Events stand in the log in the order of their rows."""
    await lab.ingest().commit(page([row(number, secs=number) for number in range(50)]))
    rows = await lab.store.read(lab.acme, 0, 1 << 20)
    assert 50 == len(events_in(rows))
    ids = [msgspec.json.decode(line)["message"]["id"] for line in (rows[0].lines or b"").splitlines()]
    assert [f"id-{number}" for number in range(50)] == ids


async def test_two_states_of_one_entry_in_one_page_are_two_events(lab: Lab) -> None:
    """A page that shows an entry in two states has both recorded, once however often it is shown."""
    ingest = lab.ingest(await lab.store.feed("acme", QUEUE))
    shown = [Record(id="q", info="waiting", created_at=AT), Record(id="q", info="scanning", created_at=AT)]
    outcome = await ingest.commit(_queue_page([*shown, shown[0]]))
    assert {"queue.entered": 1, "queue.changed": 1} == dict(outcome.kinds)
    assert PageCounts(new=2, duplicate=1) == outcome.counts
    assert {} == dict((await ingest.commit(_queue_page(shown))).kinds)


async def _events(lab: Lab) -> list[dict[str, Any]]:
    rows = await lab.store.read(lab.acme, 0, 1 << 20)
    return [msgspec.json.decode(line) for one in rows for line in (one.lines or b"").splitlines()]


def _renamed(one: Record, row_id: str) -> Record:
    return msgspec.structs.replace(one, id=row_id)


async def test_rows_under_other_ids_are_counted(lab: Lab) -> None:
    """Rows read again are told from new ones, and those whose id has changed are told and counted."""
    ingest = lab.ingest()
    outcome = await ingest.commit(page([row(1), row(2), row(3)]))
    assert (0, 0) == (outcome.reread, outcome.reidentified)
    assert lab.metric("finder_reidentified_rows_total", account="acme") is None
    outcome = await ingest.commit(page([row(1), _renamed(row(2), "x"), _renamed(row(3), "y"), row(4)]))
    assert (3, 2, 3) == (outcome.reread, outcome.reidentified, outcome.counts.new)
    outcome = await ingest.commit(page([row(1), row(4)]))
    assert (2, 0) == (outcome.reread, outcome.reidentified)
    assert 2 == lab.metric("finder_reidentified_rows_total", account="acme")


async def test_rows_known_by_content_are_recorded_once(lab: Lab) -> None:
    """Where rows are known by content, ids that change at every poll make no event, and alike mails stay apart."""
    ingest = lab.ingest()
    for number in range(3):
        rows = [_renamed(one, f"{number}-{at}") for at, one in enumerate([row(1), row(2), row(1)])]
        outcome = await ingest.commit(FinderPage(rows=rows[::-1] if number else rows, identity=Identity.CONTENT))
        assert (0, 0) == (outcome.reread, outcome.reidentified)
        assert (PageCounts(duplicate=3) if number else PageCounts(new=3)) == outcome.counts
    changed = [_renamed(one, str(at)) for at, one in enumerate([row(2, "held"), row(1), row(1)])]
    await ingest.commit(FinderPage(rows=changed, identity=Identity.CONTENT))
    events = await _events(lab)
    assert ["message.seen"] * 3 + ["message.changed"] == [one["kind"] for one in events]
    assert "accepted" == events[-1]["previous"]["status"]
    assert_identities(await lab.store.snapshot())


async def test_content_pages_stand_beside_other_kept_rows(lab: Lab) -> None:
    """Undecodable rows and rows without a time are known again beside rows known by content."""
    timeless = msgspec.structs.replace(row(1), received_at=None)
    bad = [Unreadable(bytes([number]), "why") for number in range(3)]
    for expected in (PageCounts(new=2, undecodable=3), PageCounts(duplicate=5)):
        rows = FinderPage(rows=[timeless, row(2)], unreadable=bad, identity=Identity.CONTENT)
        assert expected == (await lab.ingest().commit(rows)).counts


class Passing:
    """An account whose queue and finder are both polled."""

    def __init__(self, lab: Lab, queue: Ingest) -> None:
        self.lab, self._queue = lab, queue

    async def queue(self, *rows: Record, complete: bool = True) -> None:
        """Poll the queue, half a minute after the poll before."""
        self.lab.clock.advance(30)
        entries = [msgspec.structs.replace(one, created_at=one.received_at, received_at=None) for one in rows]
        await self._queue.commit(_queue_page(entries, complete=complete))

    async def finder(self, *rows: Record, identity: Identity = Identity.ID) -> list[dict[str, Any]]:
        """Poll the finder; return the new events."""
        before = len(await _events(self.lab))
        await self.lab.ingest().commit(FinderPage(rows=rows, identity=identity))
        return (await _events(self.lab))[before:]


@pytest.fixture
async def passing(lab: Lab) -> Passing:
    """Poll both feeds of acme."""
    return Passing(lab, lab.ingest(await lab.store.feed("acme", QUEUE)))


def _figures(event: dict[str, Any]) -> tuple[float, int, int] | None:
    stay = event["queue"]
    return None if stay is None else (stay["dwell_secs"], stay["polls"], stay["visit"])


@pytest.mark.parametrize("identity", list(Identity))
async def test_a_mail_seen_first_has_its_dwell_time(passing: Passing, identity: Identity) -> None:
    """The finder's first event of a mail has the whole stay of its queue entry, and the id it has without it."""
    for _ in range(3):
        await passing.queue(row(1), row(2))
    await passing.queue(row(2))
    await passing.queue(row(2))
    found = _renamed(row(1), "f")
    seen = await passing.finder(found, row(3), identity=identity)
    left = next(one for one in await _events(passing.lab) if one["kind"] == "queue.left")
    assert {"subject 1": left["queue"], "subject 3": None} == {one["message"]["subject"]: one["queue"] for one in seen}
    assert (60, 3, 0) == _figures(left)
    feed = prefix("acme", "message_finder")
    marks = {
        Identity.ID: finder_fingerprints(feed, [found]),
        Identity.CONTENT: [one.mark for one in number_rows(feed, [found])],
    }
    assert marks[identity][0].hex() in {one["event_id"] for one in seen}


async def test_a_live_entry_shows_what_was_seen_so_far(passing: Passing) -> None:
    """While the entry is in the queue, its dwell time goes to the last complete poll."""
    await passing.queue(row(1))
    await passing.queue(row(1))
    await passing.queue(row(1), complete=False)
    (event,) = await passing.finder(_renamed(row(1), "f"))
    assert (30, 2, 0) == _figures(event)


async def test_a_return_is_the_stay_that_counts(passing: Passing) -> None:
    """Of an entry that came back the last stay is shown."""
    for rows in ([row(1)], [], [], [row(1)], [row(1)]):
        await passing.queue(*rows)
    (event,) = await passing.finder(_renamed(row(1), "f"))
    assert (30, 2, 1) == _figures(event)


async def test_where_two_fit_nothing_is_linked(passing: Passing) -> None:
    """Two entries for one mail, two mails for one entry, or a second mail later: no link, not even of a third."""
    await passing.queue(row(1), _renamed(row(1), "twin"), row(2), row(3))
    seen = await passing.finder(_renamed(row(1), "a"), _renamed(row(2), "b"), _renamed(row(2), "c"), row(3))
    assert [None, None, None, (0, 1, 0)] == [_figures(one) for one in seen]
    seen = await passing.finder(_renamed(row(2), "d"), _renamed(row(3), "e"))
    assert [None, None] == [_figures(one) for one in seen]


async def test_far_apart_is_not_linked(passing: Passing) -> None:
    """A mail received more than two minutes after the entry was created is another; within them it is the same."""
    await passing.queue(row(1), row(2))
    seen = await passing.finder(row(1, secs=121), row(2, secs=120))
    assert [None, (0, 1, 0)] == [_figures(one) for one in seen]


async def test_only_the_first_event_of_a_mail_is_linked(passing: Passing) -> None:
    """A change of state has no dwell time."""
    await passing.finder(row(1, "held"))
    await passing.queue(row(1))
    (event,) = await passing.finder(row(1))
    assert ("message.changed", None) == (event["kind"], event["queue"])


async def test_another_account_is_not_linked(passing: Passing) -> None:
    """What one account's queue shows is nothing to another account's finder."""
    await passing.queue(row(1))
    feed = await passing.lab.account("corp")
    await passing.lab.ingest(feed).commit(page([row(1)]))
    (of_corp,) = await passing.lab.store.read(feed.account_id, 0, 1 << 20)
    assert msgspec.json.decode(of_corp.lines or b"")["queue"] is None
    assert [(0, 1, 0)] == [_figures(one) for one in await passing.finder(row(1))]
