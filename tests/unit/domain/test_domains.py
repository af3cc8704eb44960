"""The list of an account's own domains: what is one, when it is asked for again, when one is gone."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.domains import DAY, DomainList, domain_name, domains, due, refresh

START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOTH, ONE = ["a.example", "b.example"], ["a.example"]


def known(names: list[str] = BOTH, at: datetime = START) -> DomainList:
    """Return a list as a first answer makes it."""
    return refresh(None, names, at)[0]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Corp.Example", "corp.example"),
        ("  corp.example.\t", "corp.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "bücher.example"),
        ("_spf.corp-1.example", "_spf.corp-1.example"),
        ("localhost", "localhost"),
        ("a" * 253, "a" * 253),
        ("a" * 254, None),
        ("", None),
        (" . ", None),
        (".", None),
        ("corp..example", None),
        (".corp.example", None),
        ("corp.example..", None),
        ("amy@corp.example", None),
        ("@corp.example", None),
        ("*.corp.example", None),
        ("corp example", None),
        ("corp\u00a0x.example", None),
        ("corp\n.example", None),
        ("corp\x00.example", None),
        (f"corp{chr(0xD800)}.example", None),
        ("corp\ufffd.example", None),
        ("a.example,b.example", None),
        ("https://corp.example", None),
    ],
)
def test_what_is_a_domain(text: str, name: str | None) -> None:
    """Names are trimmed and in lower case, those beyond ASCII otherwise as listed; what cannot be a domain is none."""
    assert name == domain_name(text)


@given(st.text())
def test_a_name_is_its_own_name(text: str) -> None:
    """Reading a name again changes nothing, so one domain never counts as two; every name can be stored."""
    name = domain_name(text)
    assert name is None or name == domain_name(name) == msgspec.json.decode(msgspec.json.encode(name))


def test_the_first_answer() -> None:
    """The first answer adds everything, each name once, whatever its spelling."""
    after, added, removed = refresh(None, ["B.example", "a.example.", "b.EXAMPLE", "amy@c.example"], START)
    assert (BOTH, [], BOTH) == (added, removed, domains(after))
    assert DomainList(START, {"a.example": START, "b.example": START}) == after


def test_nothing_is_known_at_first() -> None:
    """Without a list there are no domains, and one is due."""
    assert [] == domains(None) == domains(DomainList())
    assert due(None, START)
    assert due(DomainList(), START)


def test_added_later() -> None:
    """A later answer adds what is new and moves the time of what it lists."""
    after, added, removed = refresh(known(), [*BOTH, "c.example"], START + DAY)
    assert (["c.example"], []) == (added, removed)
    assert dict.fromkeys([*BOTH, "c.example"], START + DAY) == after.listed_at


@pytest.mark.parametrize("outage", [DAY, 7 * DAY])
def test_one_odd_answer_drops_nothing(outage: timedelta) -> None:
    """However long ago a domain was listed last, the first answer without it keeps it, and its return is no news."""
    odd, added, removed = refresh(known(), ONE, START + outage)
    assert ([], [], BOTH) == (added, removed, domains(odd))
    assert START == odd.listed_at["b.example"]
    again, added, removed = refresh(odd, BOTH, START + outage + DAY)
    assert ([], [], BOTH, {}) == (added, removed, domains(again), again.missing_since)


def test_dropped_after_a_day() -> None:
    """A domain is dropped by the first answer without it that comes a day after another one without it."""
    missing, _, _ = refresh(known(), ONE, START + DAY)
    still, _, removed = refresh(missing, ONE, START + 2 * DAY - timedelta(seconds=1))
    assert ([], BOTH) == (removed, domains(still))
    gone, added, removed = refresh(still, ONE, START + 2 * DAY)
    assert ([], ["b.example"], ONE, {}) == (added, removed, domains(gone), gone.missing_since)
    _, added, _ = refresh(gone, BOTH, START + 3 * DAY)
    assert ["b.example"] == added


def test_a_return_starts_the_absence_anew() -> None:
    """Absences do not add up: a domain that was listed in between is missing from the next time on."""
    flapping = known()
    for day in range(1, 10):
        flapping, _, removed = refresh(flapping, BOTH if day % 2 else ONE, START + day * DAY)
        assert ([], BOTH) == (removed, domains(flapping))


@pytest.mark.parametrize("listed", [[], ["", "@"]])
def test_an_empty_answer_changes_nothing(listed: list[str]) -> None:
    """An answer that names no domain leaves the list, and when it was made, as they are."""
    before = known()
    assert (before, [], []) == refresh(before, listed, START + 9 * DAY)
    assert (DomainList(), [], []) == refresh(None, listed, START)


def test_an_incomplete_answer_drops_nothing() -> None:
    """An answer that may be cut adds what it shows; it neither drops a domain nor begins its absence."""
    cut, added, removed = refresh(known(), ["c.example"], START + DAY, complete=False)
    assert (["c.example"], [], {}) == (added, removed, cut.missing_since)
    missing, _, _ = refresh(cut, [*ONE, "c.example"], START + 2 * DAY)
    cut, _, removed = refresh(missing, ["c.example"], START + 4 * DAY, complete=False)
    assert ([], [*BOTH, "c.example"]) == (removed, domains(cut))
    assert {"b.example": START + 2 * DAY} == cut.missing_since


def test_due_once_a_day() -> None:
    """A list is due when it is a day old, not before."""
    assert not due(known(), START)
    assert not due(known(), START + DAY - timedelta(seconds=1))
    assert due(known(), START + DAY)


def test_a_clock_that_was_ahead() -> None:
    """A list made in the future is due, and an absence that began there begins now."""
    ahead, _, _ = refresh(known(), ONE, START + 30 * DAY)
    assert due(ahead, START + DAY)
    back, _, removed = refresh(ahead, ONE, START + DAY)
    assert ([], {"b.example": START + DAY}) == (removed, back.missing_since)
    assert ["b.example"] == refresh(back, ONE, START + 2 * DAY)[2]


@given(
    st.lists(st.tuples(st.sets(st.sampled_from("abcd"), min_size=1), st.integers(1, 60), st.booleans()), max_size=12)
)
def test_no_domain_goes_without_two_answers_a_day_apart(answers: list[tuple[set[str], int, bool]]) -> None:
    """In any history, what is removed was last listed before two complete answers a day apart; the rest is known."""
    now, known_list = START, None
    history: list[tuple[datetime, set[str]]] = []
    for listed, hours, complete in answers:
        now += hours * HOUR
        before = set(domains(known_list))
        known_list, added, removed = refresh(known_list, listed, now, complete=complete)
        assert set(domains(known_list)) == before - set(removed) | listed
        assert set(added) == listed - before
        if complete:
            history.append((now, listed))
        else:
            assert [] == removed
        for name in removed:
            assert all(name not in shown for at, shown in history if now - at <= DAY)
            assert any(name not in shown for at, shown in history if now - at >= DAY)


def test_stored_and_read_back() -> None:
    """The list survives being stored, absences included."""
    missing, _, _ = refresh(known(), ONE, START + DAY)
    assert missing == msgspec.json.decode(msgspec.json.encode(missing), type=DomainList)
