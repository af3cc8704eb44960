"""Which replica watches which account: what the fleet looks like, and what one replica does about it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

Budget = Mapping[str, float]
"""What an account's request budget still forbids: seconds from now, by the name of what is closed for so long."""

LAPSE_SHARE = 0.7
"""Of the lease's duration: unheard of for so long, a replica holds nothing any more.

The rest of the duration is for the others to notice it and to poll: together they keep to the duration.
"""

BEAT_SHARE = 0.1
"""Of the lease's duration: so often a replica says that it lives and looks at the others."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A process that works on the store. ``silent_secs`` is how long ago it was heard of, by the database's clock.

    ``accounts`` are the ids of those it is configured with; ``report`` is the status it published last, empty for none.
    """

    id: UUID
    name: str
    version: str
    started_at: datetime
    silent_secs: float
    is_live: bool
    accounts: frozenset[int]
    report: bytes = b""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds an account. ``holder`` is None when nobody does, or nobody who lives; ``for_secs`` says since when."""

    account_id: int
    account: str
    holder: UUID | None
    epoch: int
    for_secs: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """All replicas and all leases as of one moment."""

    replicas: Sequence[Replica] = ()
    leases: Sequence[Lease] = ()

    def held_by(self, replica: UUID) -> set[int]:
        """Return the ids of the accounts that a replica holds."""
        return {lease.account_id for lease in self.leases if lease.holder == replica}


@dataclass(frozen=True, slots=True)
class News:
    """What a replica tells when it says that it lives.

    ``accounts`` are the ids of those it is configured with, ``budgets`` what is to be kept for whoever holds an account
    next, ``report`` its status as it is published, None when the one published before stays.
    """

    accounts: Collection[int]
    budgets: Mapping[int, Budget] = field(default_factory=dict)
    report: bytes | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replica does next: ids of accounts, in order."""

    take: Sequence[int] = ()
    hand_over: Sequence[int] = ()


def plan(me: UUID, fleet: Fleet) -> Plan:
    """Decide what a replica takes and hands over, so that all hold about as many accounts and few move.

    An account is for those who are configured with it, one that nobody is configured with for everybody: its events
    are still delivered. A replica takes what is free up to its share, and more where nobody else would. It hands over
    what it has beyond its share, where somebody else lacks it, and what it is not configured with while others are.
    """
    live = {replica.id: replica.accounts for replica in fleet.replicas if replica.is_live}
    if me not in live:
        return Plan()
    sharing = _Sharing(live, fleet.leases)
    room = sharing.lacks[me]
    take, hand_over = list[int](), list[int]()
    for lease in sorted(fleet.leases, key=lambda one: one.account_id):
        account = lease.account_id
        is_ours, others_lack = sharing.may_hold(me, account), sharing.others_lack(me, account)
        if lease.holder is None and is_ours and (len(take) < room or not others_lack):
            take.append(account)
        elif lease.holder == me and (not is_ours or (len(hand_over) < -room and others_lack)):
            hand_over.append(account)
    return Plan(tuple(take), tuple(hand_over))


class _Sharing:
    """Who of those who live may hold what, and who lacks how much."""

    def __init__(self, live: Mapping[UUID, frozenset[int]], leases: Sequence[Lease]) -> None:
        self._live = live
        self._configured = frozenset[int]().union(*live.values())
        held = Counter(lease.holder for lease in leases if lease.holder is not None)
        # The shares differ by at most one, and the larger ones go to those that hold the most: so the fewest move.
        share, more = divmod(len(leases), len(live))
        ranked = sorted(live, key=lambda one: (-held[one], one))
        self.lacks = {one: share + (rank < more) - held[one] for rank, one in enumerate(ranked)}
        """How many accounts each lacks to its share; less than 0 where it has more."""

    def may_hold(self, replica: UUID, account: int) -> bool:
        return account in self._live[replica] or account not in self._configured

    def others_lack(self, me: UUID, account: int) -> bool:
        return any(self.lacks[one] > 0 and self.may_hold(one, account) for one in self._live if one != me)
