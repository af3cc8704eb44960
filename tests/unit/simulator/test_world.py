"""The world: a pure function of seed, start and now."""

import dataclasses
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcwatch.simulator import Simulator, SimulatorConfig, World
from mcwatch.simulator.births import ODDITIES
from mcwatch.simulator.rows import Writer
from mcwatch.simulator.subjects import HOSTILE
from mcwatch.simulator.world import EVERYTHING, Row, Search

START = 1_767_605_400.0
BUSY = dataclasses.replace(SimulatorConfig.demo(), mails_per_minute=60.0, history_secs=900.0)
FOREVER = 10**6


def world(config: SimulatorConfig = BUSY, start: float = START) -> World:
    """The world of a simulator started at a given time."""
    return Simulator(config, lambda: start).world()


def rows(of: World, now: float, start: float = 0.0, key: str = EVERYTHING) -> list[Row]:
    """Everything the finder shows."""
    return of.find(Search(key, start, now), now, 0, FOREVER).rows


def shown(found: list[Row]) -> list[tuple[str, str]]:
    """Reduce rows to what tells them apart."""
    return [(row.mail.uid, row.state.status) for row in found]


def test_same_seed_same_world() -> None:
    """Two simulators with the same seed and start show the same, with another seed something else."""
    first, second = rows(world(), START), rows(world(), START)
    assert [dataclasses.astuple(row.mail) for row in first] == [dataclasses.astuple(row.mail) for row in second]
    assert shown(first) != shown(rows(world(dataclasses.replace(BUSY, seed=2)), START))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0.0, 300.0), min_size=1, max_size=6))
def test_state_is_independent_of_questions(moments: list[float]) -> None:
    """What is shown at an instant does not depend on what was asked before, in whatever order."""
    config = dataclasses.replace(BUSY, mails_per_minute=20.0, history_secs=60.0)
    asked = world(config)
    for after in moments:
        now = START + after
        rows(asked, now, start=now - 60, key="to:corp.example")
        asked.queue("processing", now)
    fresh, now = world(config), START + moments[-1]
    assert shown(rows(fresh, now)) == shown(rows(asked, now))
    assert [entry.mail.uid for entry in fresh.queue("processing", now)] == [
        entry.mail.uid for entry in asked.queue("processing", now)
    ]


def test_restart_keeps_the_mail() -> None:
    """A simulator started later with the same seed shows the same mail where the histories overlap."""
    early, late = world(start=START), world(start=START + 300)
    since, now = START - 300, START + 300
    assert shown(rows(early, now, since)) == shown(rows(late, now, since))


def test_history_and_stop() -> None:
    """Nothing is older than the history, and after a stop nothing new is born while the old lives on."""
    of = world()
    assert min(row.mail.received for row in rows(of, START)) >= START - 900
    of.stop(START + 60)
    later = rows(of, START + 7200)
    assert max(row.mail.received for row in later) <= START + 60
    assert shown(rows(of, START + 60)) != shown([row for row in later if row.mail.received <= START + 60])
    assert of.queue("processing", of.queue_empty_at(START + 60)) == []


def test_index_finds_what_a_scan_finds() -> None:
    """The indexed search by domain returns exactly the mails with that domain."""
    of = world()
    everything = rows(of, START)
    by_scan = [row for row in everything if any(to.domain == "mail.corp.example" for to in row.mail.to)]
    assert by_scan
    assert shown(by_scan) == shown(rows(of, START, key="to:mail.corp.example"))
    senders = [
        row for row in everything if "corp.example" in {row.mail.envelope_from.domain, row.mail.header_from.domain}
    ]
    assert shown(senders) == shown(rows(of, START, key="from:corp.example"))


@pytest.mark.parametrize("size", [1, 7, 100])
def test_pages_add_up(size: int) -> None:
    """Pages of any size give the whole, newest first, when time stands still."""
    of = world(dataclasses.replace(BUSY, history_secs=300.0))
    search = Search(EVERYTHING, 0.0, START)
    total = of.find(search, START, 0, 1).total
    paged = [row for offset in range(0, total, size) for row in of.find(search, START, offset, size).rows]
    assert shown(rows(of, START)) == shown(paged)
    assert sorted(paged, key=lambda row: -row.mail.received) == paged


def test_variety() -> None:
    """Within an hour all routes, statuses and odd spellings occur, twins, and mail with several recipients."""
    config = dataclasses.replace(BUSY, history_secs=3600.0, odd_share=0.1, speed=20.0, hostile_share=0.1)
    found = rows(world(config), START)
    statuses = {row.state.status for row in found}
    expected = {"accepted", "archived", "held", "rejected", "deferred", "bounced", "delivery", "system"}
    assert expected <= statuses
    assert {"inbound", "outbound", "internal", "external"} == {row.mail.route for row in found}
    assert {"", *ODDITIES} == {row.mail.oddity for row in found}
    assert None in {row.mail.subject for row in found}
    assert set(HOSTILE) & {row.mail.subject for row in found}
    assert {1, 3} == {len(row.mail.to) for row in found}
    alike = Counter((row.mail.received, row.mail.subject, row.mail.to, row.mail.sender_ip) for row in found)
    assert 2 in alike.values()


def test_ids_are_unique_to_mail_and_status() -> None:
    """No two rows share an id, twins included, and a mail's id differs between statuses."""
    of, writer = world(dataclasses.replace(BUSY, twin_share=0.3)), Writer("demo", 1)
    ids: dict[object, set[tuple[str, str]]] = {}
    for after in (0.0, 120.0, 240.0):
        for row in rows(of, START + after):
            written, _ = writer.finder_row(row, None)
            ids.setdefault(written["id"], set()).add((row.mail.uid, row.state.status))
    assert {1} == {len(meanings) for meanings in ids.values()}


def test_deferred_mail_comes_again() -> None:
    """A deferred mail has a second row of its own, received later, in another minute if need be."""
    config = dataclasses.replace(BUSY, history_secs=7200.0, speed=1.0)
    found = {row.mail.uid: row.mail for row in rows(world(config), START)}
    retried = [uid for uid in found if uid.endswith(".retry")]
    assert retried
    for uid in retried:
        first = found.get(uid.removesuffix(".retry"))
        assert first is None or 59 <= found[uid].received - first.received <= 901


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_demo_is_lively(seed: int) -> None:
    """With polls every 2 s a newcomer sees all five kinds of event within half a minute, whatever the seed."""
    of = world(SimulatorConfig.demo(seed))
    kinds: set[str] = set()
    queue: dict[str, object] = {}
    finder: dict[str, object] = {}
    for after in range(0, 30, 2):
        now = START + after
        present: dict[str, object] = {entry.mail.uid: entry.state for entry in of.queue("processing", now)}
        changed = [uid for uid, state in present.items() if queue.get(uid) != state]
        kinds |= {"queue.changed" if uid in queue else "queue.entered" for uid in changed}
        kinds |= {"queue.left" for uid in queue if uid not in present}
        showing: dict[str, object] = {row.mail.uid: row.state for row in rows(of, now, start=now - 300)}
        changed = [uid for uid, state in showing.items() if finder.get(uid) != state]
        kinds |= {"message.changed" if uid in finder else "message.seen" for uid in changed}
        queue, finder = present, finder | showing
    assert kinds == {"message.seen", "message.changed", "queue.entered", "queue.changed", "queue.left"}


def test_long_history_is_quick_to_page() -> None:
    """In a long history a late page costs no look at each mail: a day is paged in a fraction of a second."""
    config = SimulatorConfig(mails_per_minute=5.0, history_secs=86_400.0)
    of = world(config)
    total = len(rows(of, START))
    examined = 0

    def counted(_row: Row) -> bool:
        nonlocal examined
        examined += 1
        return True

    assert total > 5000
    of.find(Search(EVERYTHING, START - 600, START, counted), START, 0, 100)
    assert examined < 300
