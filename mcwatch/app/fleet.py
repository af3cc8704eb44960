"""What several replicas say of themselves, put together into one report."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from mcwatch.domain.leasing import Fleet, Lease, Replica
from mcwatch.domain.status import AccountStatus, DestinationStatus, ReplicaStatus, StatusReport, problems

_UNREADABLE = "what it says of itself cannot be read here, for it is of version {version}"
_UNREADABLE_REMEDY = "bring all replicas, and the command, to one version; until then its accounts look untried"
_RELOAD_REMEDY = "mend the file and reload it; until then this replica works by the configuration before it"

_NEVER = datetime.min.replace(tzinfo=UTC)

_REPORT = msgspec.json.Decoder(StatusReport)


def merged(
    own: StatusReport, fleet: Fleet, me: UUID | None = None, stored: Sequence[AccountStatus] = ()
) -> StatusReport:
    """Put what live replicas published and what this process knows together.

    Args:
        own: this replica's report, with the accounts it holds; or what the store alone says.
        fleet: who lives and who holds what, with the reports as they were published.
        me: which of the replicas ``own`` is of; None for none of them.
        stored: what the store alone says of accounts, for those of which nobody tells more.
    """
    told, unreadable = _told(own, fleet, me)
    live = [told[one.id] for one in fleet.replicas if one.id in told]
    names = {one.id: one.name for one in fleet.replicas}
    held = Counter(lease.holder for lease in fleet.leases)
    report = replace(
        own,
        live=own.live or any(one.is_live for one in fleet.replicas),
        replica=names.get(me, own.replica) if me else own.replica,
        fleet=[_replica(one, held[one.id], told.get(one.id), one.id in unreadable, me) for one in _ordered(fleet)],
        started_at=own.started_at if me else _oldest(live),
        store=replace(own.store, paused=_paused([own, *live])),
        accounts=_accounts(own, fleet, told, stored),
        destinations=_destinations(own, [(one.name, told[one.id]) for one in fleet.replicas if one.id in told]),
    )
    if me is None and report.started_at is not None:
        report = replace(report, uptime_secs=round((own.at - report.started_at).total_seconds(), 1))
    everybody = all(one.healthy for one in live) and (own.healthy if me else bool(live))
    return replace(report, healthy=report.live and everybody and not problems(report))


def _told(own: StatusReport, fleet: Fleet, me: UUID | None) -> tuple[dict[UUID, StatusReport], set[UUID]]:
    """Return the live replicas' reports, and which of them published one that cannot be read."""
    told, unreadable = dict[UUID, StatusReport](), set[UUID]()
    for one in fleet.replicas:
        if one.id == me:
            told[one.id] = own
        elif one.is_live and one.report:
            if (report := _published(one)) is None:
                unreadable.add(one.id)
            else:
                told[one.id] = report
    return told, unreadable


def _published(one: Replica) -> StatusReport | None:
    """Return the report that a replica published, None where it cannot be read."""
    try:
        return _REPORT.decode(one.report)
    except msgspec.DecodeError:
        return None


def destinations_at_work(fleet: Fleet) -> set[str]:
    """Return the destinations that live replicas say they deliver to."""
    reports = [_published(one) for one in fleet.replicas if one.is_live]
    return {one.name for report in reports if report for one in report.destinations}


def _ordered(fleet: Fleet) -> list[Replica]:
    return sorted(fleet.replicas, key=lambda one: (not one.is_live, one.name, one.id))


def _replica(
    one: Replica,
    accounts: int,
    report: StatusReport | None,
    is_unreadable: bool,  # noqa: FBT001 - a column of what is told
    me: UUID | None,
) -> ReplicaStatus:
    reason = remedy = ""
    if is_unreadable:
        reason, remedy = _UNREADABLE.format(version=one.version), _UNREADABLE_REMEDY
    elif report and report.config and report.config.error and one.id != me:
        reason, remedy = report.config.error, _RELOAD_REMEDY
    return ReplicaStatus(
        name=one.name,
        id=str(one.id),
        version=one.version,
        started_at=one.started_at,
        silent_secs=round(one.silent_secs, 1),
        live=one.is_live,
        accounts=accounts,
        reason=reason,
        remedy=remedy,
    )


def _oldest(reports: Iterable[StatusReport]) -> datetime | None:
    return min((one.started_at for one in reports if one.started_at), default=None)


def _paused(reports: Iterable[StatusReport]) -> list[str]:
    return list(dict.fromkeys(reason for one in reports for reason in one.store.paused))


def _accounts(
    own: StatusReport, fleet: Fleet, told: Mapping[UUID, StatusReport], stored: Sequence[AccountStatus]
) -> list[AccountStatus]:
    """Return the accounts that a live replica is configured with or tells of and those nobody holds, by name.

    Of each what its holder says, else what this process does.
    """
    configured = frozenset[int]().union(*(one.accounts for one in fleet.replicas if one.is_live))
    names = {one.id: one.name for one in fleet.replicas}
    said = {key: _by_name(one.accounts) for key, one in told.items()}
    known = _by_name(stored) | _by_name(own.accounts)
    told_of = {one.name for one in own.accounts}.union(*said.values())
    shown = [
        one for one in fleet.leases if one.holder is None or one.account_id in configured or one.account in told_of
    ]
    found = [_account(lease, _said_of(lease, said, known), names) for lease in shown]
    leased = {lease.account for lease in fleet.leases}
    return sorted([*found, *(one for one in own.accounts if one.name not in leased)], key=lambda one: one.name)


def _said_of(
    lease: Lease, said: Mapping[UUID, Mapping[str, AccountStatus]], known: Mapping[str, AccountStatus]
) -> AccountStatus:
    by_holder = said.get(lease.holder, {}).get(lease.account) if lease.holder else None
    return by_holder or known.get(lease.account) or AccountStatus(name=lease.account)


def _account(lease: Lease, status: AccountStatus, names: Mapping[UUID, str]) -> AccountStatus:
    if lease.holder is None:
        return replace(status, holder="", held=False, unheld_secs=round(lease.for_secs, 1))
    return replace(status, holder=names.get(lease.holder, ""), held=True, unheld_secs=0.0)


def _by_name(accounts: Iterable[AccountStatus]) -> dict[str, AccountStatus]:
    return {one.name: one for one in accounts}


def _destinations(own: StatusReport, told: Sequence[tuple[str, StatusReport]]) -> list[DestinationStatus]:
    """Return the destinations: stored figures as this process has them, the rest as the live replicas see it."""
    if not told:
        return own.destinations
    here = {one.name: one for one in own.destinations}
    seen: dict[str, list[tuple[str, DestinationStatus]]] = {}
    for replica, report in told:
        for one in report.destinations:
            seen.setdefault(one.name, []).append((replica, one))
    return [_destination(here.get(name), views, len(told)) for name, views in sorted(seen.items())]


def _destination(
    here: DestinationStatus | None, views: Sequence[tuple[str, DestinationStatus]], replicas: int
) -> DestinationStatus:
    worst = min((one for _, one in views), key=_rank)
    last = max((one for _, one in views), key=lambda one: one.last_error_at or _NEVER)
    alike = [name for name, one in views if (one.up, one.reason) == (worst.up, worst.reason)]
    failed_last = [name for name, one in views if one.last_error == last.last_error]
    is_alone = replicas == 1
    return replace(
        here or worst,
        up=worst.up,
        since=worst.since,
        reason=worst.reason if is_alone else _on(alike, worst.reason),
        remedy=worst.remedy,
        last_error=last.last_error if is_alone else _on(failed_last, last.last_error),
        last_error_at=last.last_error_at,
        unacknowledged=sum(one.unacknowledged for _, one in views),
    )


def _rank(one: DestinationStatus) -> int:
    """Tell how much somebody should know of this view: down, impaired, up, and last what has not been tried."""
    if one.up is False:
        return 0
    if one.reason:
        return 1
    return 2 if one.up else 3


def _on(names: Sequence[str], words: str) -> str:
    """Say which replicas it is that say so."""
    if not words:
        return ""
    return f"on {'replica' if len(names) == 1 else 'replicas'} {', '.join(names)}: {words}"
