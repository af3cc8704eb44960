"""Who takes and hands over which account."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcwatch.domain.leasing import Fleet, Lease, Plan, Replica, plan

A, B, C = (UUID(int=number) for number in (1, 2, 3))
_AT = datetime(2026, 1, 5, tzinfo=UTC)


def _replica(name: UUID, accounts: range | set[int], *, is_live: bool = True) -> Replica:
    return Replica(name, str(name), "1", _AT, 0.0, is_live, frozenset(accounts))


def _fleet(replicas: list[Replica], holders: Mapping[int, UUID | None]) -> Fleet:
    return Fleet(replicas, [Lease(account, f"a{account}", holder, 1, 0.0) for account, holder in holders.items()])


def test_the_first_replica_takes_everything() -> None:
    """Alone, a replica takes every account that is free."""
    fleet = _fleet([_replica(A, range(3))], dict.fromkeys(range(3)))
    assert Plan((0, 1, 2)) == plan(A, fleet)


def test_a_joining_replica_gets_its_share() -> None:
    """Who holds more than its share hands over just as much as the other one lacks."""
    fleet = _fleet([_replica(A, range(5)), _replica(B, range(5))], dict.fromkeys(range(5), A))
    assert Plan((), (0, 1)) == plan(A, fleet)
    assert Plan() == plan(B, fleet)


def test_shares_that_differ_by_one_are_left_alone() -> None:
    """Nothing moves where nobody would be better off."""
    fleet = _fleet([_replica(A, range(3)), _replica(B, range(3))], {0: A, 1: A, 2: B})
    assert Plan() == plan(A, fleet)
    assert Plan() == plan(B, fleet)


def test_every_replica_gets_one_of_four_accounts() -> None:
    """Of four accounts held two and two, the third replica gets one."""
    replicas = [_replica(one, range(4)) for one in (A, B, C)]
    fleet = _fleet(replicas, {0: A, 1: A, 2: B, 3: B})
    assert 1 == len(plan(A, fleet).hand_over) + len(plan(B, fleet).hand_over)


def test_a_lost_replicas_accounts_are_shared() -> None:
    """What the lost one held is taken by the others, each up to its share."""
    replicas = [_replica(A, range(6)), _replica(B, range(6)), _replica(C, range(6), is_live=False)]
    fleet = _fleet(replicas, {0: A, 1: A, 2: B, 3: B, 4: None, 5: None})
    assert Plan((4,)) == plan(A, fleet)


def test_an_account_that_only_one_knows_is_taken_beyond_its_share() -> None:
    """Where nobody else lacks accounts that it may hold, a replica takes more, and keeps them."""
    replicas = [_replica(A, {0, 1, 2, 3}), _replica(B, {4})]
    free = _fleet(replicas, {**dict.fromkeys(range(4)), 4: B})
    assert Plan((0, 1, 2, 3)) == plan(A, free)
    held = _fleet(replicas, {**dict.fromkeys(range(4), A), 4: B})
    assert Plan() == plan(A, held)


def test_an_account_taken_out_of_the_configuration_is_still_held() -> None:
    """Its events are still delivered: whoever has it keeps it, and whoever has room takes it."""
    assert Plan() == plan(A, _fleet([_replica(A, set())], {7: A}))
    assert Plan((7,)) == plan(A, _fleet([_replica(A, set())], {7: None}))


def test_who_is_not_configured_with_an_account_hands_it_to_who_is() -> None:
    """During a rolling change an account goes to those who know how to poll it."""
    fleet = _fleet([_replica(A, {1}), _replica(B, {1, 2})], {1: B, 2: A})
    assert (2,) == plan(A, fleet).hand_over


def test_a_replica_that_is_not_seen_as_live_does_nothing() -> None:
    """Its own news has not come through: it neither takes nor gives."""
    assert Plan() == plan(A, _fleet([_replica(B, range(2))], {0: None, 1: A}))


@st.composite
def _fleets(draw: st.DrawFn) -> Fleet:
    count = draw(st.integers(0, 12))
    known = draw(st.lists(st.frozensets(st.integers(0, count or 1)), min_size=1, max_size=5))
    replicas = [_replica(UUID(int=at + 1), set(accounts)) for at, accounts in enumerate(known)]
    holders = st.sampled_from([None, *(one.id for one in replicas)])
    return _fleet(replicas, {account: draw(holders) for account in range(count)})


@settings(max_examples=40, deadline=None)
@given(fleet=_fleets())
def test_all_accounts_get_a_holder_and_then_nothing_moves(fleet: Fleet) -> None:
    """Acting one after the other, replicas come to rest, with every account held by somebody who may."""
    for _ in range(3 * len(fleet.leases) + 3):
        moved = False
        for replica in fleet.replicas:
            todo = plan(replica.id, fleet)
            moved = moved or todo != Plan()
            fleet = _after(fleet, replica.id, todo)
        if not moved:
            break
    else:
        pytest.fail("accounts go on moving")
    configured = frozenset[int]().union(*(one.accounts for one in fleet.replicas))
    holders = {one.id: one.accounts for one in fleet.replicas}
    for lease in fleet.leases:
        assert lease.holder is not None
        assert lease.account_id in holders[lease.holder] or lease.account_id not in configured


@settings(max_examples=40, deadline=None)
@given(accounts=st.integers(0, 20), replicas=st.integers(1, 6), data=st.data())
def test_replicas_with_one_configuration_share_evenly(accounts: int, replicas: int, data: st.DataObject) -> None:
    """Whatever the beginning, in the end no two differ by more than one account."""
    members = [_replica(UUID(int=at + 1), range(accounts)) for at in range(replicas)]
    holders = st.sampled_from([None, *(one.id for one in members)])
    fleet = _fleet(members, {account: data.draw(holders) for account in range(accounts)})
    for _ in range(4):
        for replica in members:
            fleet = _after(fleet, replica.id, plan(replica.id, fleet))
    counts = [len(fleet.held_by(one.id)) for one in members]
    assert sum(counts) == accounts
    assert max(counts) - min(counts) <= 1


def _after(fleet: Fleet, me: UUID, todo: Plan) -> Fleet:
    leases = [
        replace(
            one, holder=me if one.account_id in todo.take else None if one.account_id in todo.hand_over else one.holder
        )
        for one in fleet.leases
    ]
    return replace(fleet, leases=leases)
