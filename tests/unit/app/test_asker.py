"""Having the fleet do what a command asks for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
import pytest

from mcwatch.app.asker import Asker
from mcwatch.domain.backfill import BackfillPlan, RangeRequest
from mcwatch.domain.errors import McwatchError, PermanentError, StoreUnavailable, ThrottledError, TransientError
from mcwatch.domain.failure import SentFailure
from mcwatch.domain.leasing import Fleet, Lease, Replica
from mcwatch.domain.resending import ForgetRequest, Forgotten, LetterRequest, RetriedStep
from mcwatch.httpserver.control import acting_route
from tests.fakes.clock import START, FakeClock

A = UUID(int=1)
RANGE = RangeRequest(account="acme", start=START, end=START)


@dataclass(frozen=True)
class _Standing:
    answer: bytes | None = None
    failure: bytes | None = None

    @property
    def has_ended(self) -> bool:
        return self.answer is not None or self.failure is not None


@dataclass
class _Rows:
    """Rows that say, look by look, how things stand; the last one for ever."""

    stands: list["_Standing | McwatchError | None"]
    asked: list[tuple[str, bytes, str | None]] = field(default_factory=list)
    looks: int = 0

    async def ask(self, path: str, question: bytes, account: str | None = None) -> int:
        self.asked.append((path, question, account))
        return 7

    async def look(self, command_id: int) -> _Standing | None:
        assert 7 == command_id
        stands = self.stands[min(self.looks, len(self.stands) - 1)]
        self.looks += 1
        if isinstance(stands, McwatchError):
            raise stands
        return stands


def _fleet(*, live: bool = True, holder: UUID | None = A, for_secs: float = 1.0, configured: bool = True) -> Fleet:
    replica = Replica(A, "a", "1", START, 0.0, live, frozenset({1} if configured else ()))
    return Fleet([replica], [Lease(1, "acme", holder, 1, for_secs), Lease(2, "gone", A, 1, 1.0)])


def _asker(rows: _Rows, fleet: Callable[[], Fleet] = _fleet, *, clock: FakeClock | None = None) -> Asker:
    async def seen() -> Fleet:
        return fleet()

    async def forget(request: ForgetRequest) -> Forgotten:
        return Forgotten(name=request.name, waiting=1, dead_letters=2)

    own = [acting_route("/destinations/forget", ForgetRequest, forget)]
    return Asker(rows, seen, own, ["acme", "beta"], clock or FakeClock())


PLAN = BackfillPlan(account="acme", start=START, end=START, version="1", began_at=START, steps=[], labels={})


async def test_the_holder_of_the_account_is_asked_and_waited_for() -> None:
    """For what is read of the account's past."""
    rows = _Rows([_Standing(), _Standing(), _Standing(answer=msgspec.json.encode(PLAN))])
    assert PLAN == await _asker(rows).ask("/backfill/plan", BackfillPlan, RANGE)
    assert [("/backfill/plan", msgspec.json.encode(RANGE), "acme")] == rows.asked
    assert 3 == rows.looks


async def test_any_replica_can_send_again() -> None:
    """All of them have the destinations open."""
    done = RetriedStep(delivered=1, refused={}, kept={}, rest=None)
    rows = _Rows([_Standing(answer=msgspec.json.encode(done))])
    assert done == await _asker(rows).ask("/dead-letters/retry", RetriedStep, LetterRequest())
    assert [None] == [account for _, _, account in rows.asked]


async def test_what_needs_no_replica_is_done_here() -> None:
    """Although none runs."""
    rows = _Rows([])
    asker = _asker(rows, lambda: _fleet(live=False))
    done = await asker.ask("/destinations/forget", Forgotten, ForgetRequest(name="x"))
    assert ("x", 1, 2) == (done.name, done.waiting, done.dead_letters)
    assert [] == rows.asked


async def test_a_failure_arrives_as_it_was() -> None:
    """Class, words and remedy."""
    sent = SentFailure.of(ThrottledError("slow down", retry_after_secs=5.0, remedy="wait"))
    with pytest.raises(ThrottledError, match="slow down") as caught:
        await _asker(_Rows([_Standing(failure=msgspec.json.encode(sent))])).ask("/backfill/plan", BackfillPlan, RANGE)
    assert (5.0, "wait") == (caught.value.retry_after_secs, caught.value.remedy)


async def test_an_answer_of_another_version_is_told_as_such() -> None:
    """During a rolling upgrade."""
    with pytest.raises(PermanentError, match="cannot be read") as caught:
        await _asker(_Rows([_Standing(answer=b"[1]")])).ask("/backfill/plan", BackfillPlan, RANGE)
    assert "version" in caught.value.remedy


@pytest.mark.parametrize(
    ("account", "fleet", "words", "remedy"),
    [
        ("acme", lambda: _fleet(live=False), "no replica runs", "mcwatch run"),
        ("acme", lambda: _fleet(holder=None, for_secs=61.0), "no replica holds the account acme", "logs"),
        ("acne", _fleet, "there is no account 'acne'", "did you mean acme?"),
        ("other", _fleet, "there is no account 'other'", "the accounts are acme, beta"),
        ("gone", _fleet, "there is no account 'gone'", "the accounts are acme, beta"),
        ("beta", _fleet, "no replica that runs is configured with the account beta", "reload"),
        (
            "acme",
            lambda: _fleet(configured=False),
            "no replica that runs is configured with the account acme",
            "SIGHUP",
        ),
    ],
)
async def test_what_nobody_can_do_is_not_asked(
    account: str, fleet: Callable[[], Fleet], words: str, remedy: str
) -> None:
    """It is said why, and what to do."""
    rows = _Rows([])
    request = RangeRequest(account=account, start=START, end=START)
    with pytest.raises(McwatchError, match=words) as caught:
        await _asker(rows, fleet).ask("/backfill/plan", BackfillPlan, request)
    assert remedy in caught.value.remedy
    assert [] == rows.asked


async def test_the_last_replica_may_go_away_in_the_middle() -> None:
    """Then nobody is waited for; a hand-over of the account is."""
    fleets = [_fleet(), _fleet(holder=None), _fleet(), _fleet(live=False)]
    rows, clock = _Rows([_Standing()]), FakeClock()
    with pytest.raises(TransientError, match="no replica runs"):
        await _asker(rows, lambda: fleets.pop(0), clock=clock).ask("/backfill/plan", BackfillPlan, RANGE)
    assert [] == fleets
    assert 15.0 <= clock.monotonic() < 20.0


async def test_a_database_that_restarts_is_waited_for() -> None:
    """A minute; then its error is the command's."""
    away = StoreUnavailable("away")
    rows = _Rows([_Standing(), *[away] * 20, _Standing(answer=msgspec.json.encode(PLAN))])
    assert PLAN == await _asker(rows).ask("/backfill/plan", BackfillPlan, RANGE)
    clock = FakeClock()
    with pytest.raises(StoreUnavailable, match="away"):
        await _asker(_Rows([away]), clock=clock).ask("/backfill/plan", BackfillPlan, RANGE)
    assert 60.0 <= clock.monotonic() < 61.0


async def test_nothing_is_waited_for_without_an_end() -> None:
    """A command that is gone from the store, or that never ends, is told with what to do."""
    with pytest.raises(TransientError, match="gone from the store"):
        await _asker(_Rows([None])).ask("/backfill/plan", BackfillPlan, RANGE)
    with pytest.raises(TransientError, match="did not come to an end") as caught:
        await _asker(_Rows([_Standing()])).ask("/backfill/plan", BackfillPlan, RANGE)
    assert "run the same command again" in caught.value.remedy
