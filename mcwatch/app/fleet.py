"""What several replicas say of themselves, put together into one report."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from mcwatch.domain.leasing import Fleet, Lease, Replica
from mcwatch.domain.status import (
    AccountStatus,
    DestinationStatus,
    ReplicaStatus,
    SourceStatus,
    StatusReport,
    problems,
)

_UNREADABLE = "what it says of itself cannot be read here, for it is of version {version}"
_UNREADABLE_REMEDY = "bring all replicas, and the command, to one version; until then its accounts look untried"
_RELOAD_REMEDY = "mend the file and reload it; until then this replica works by the configuration before it"
_NAMESAKES = "{count} replicas are called {name}"
_NAMESAKES_REMEDY = "give each its own lease.replica"
_OVERLAP_SECS = 10.0
"""A killed replica counts as live for a moment beside the one started in its place. Heard of this much after the start
of the other, it does run beside it, however far apart their clocks and last beats are."""
_MOST_FORMER = 4
"""So many lost replicas' reports are read, the last heard of: one that dies again and again leaves many."""

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
    names = _names(fleet)
    report = replace(
        own,
        live=own.live or any(one.is_live for one in fleet.replicas),
        replica=names.get(me, own.replica) if me else own.replica,
        fleet=_replicas(fleet, told, unreadable, me, own.at),
        started_at=own.started_at if me else _oldest(live),
        store=replace(own.store, paused=_paused([own, *live])),
        accounts=_accounts(own, fleet, told, stored),
        destinations=_destinations(own, [(names[one.id], told[one.id]) for one in fleet.replicas if one.id in told]),
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


def _names(fleet: Fleet) -> dict[UUID, str]:
    """Return what each is called here: with the start of its id where another that lives has its name."""
    live = Counter(one.name for one in fleet.replicas if one.is_live)
    return {
        one.id: f"{one.name} ({str(one.id)[:8]})" if one.is_live and live[one.name] > 1 else one.name
        for one in fleet.replicas
    }


def _replicas(
    fleet: Fleet, told: Mapping[UUID, StatusReport], unreadable: Collection[UUID], me: UUID | None, at: datetime
) -> list[ReplicaStatus]:
    """Return the replicas with what they hold and what is wrong with them, those that live first."""
    names, namesakes = _names(fleet), _namesakes(fleet, at)
    configured, mentioned = _configured(fleet), {one.name for report in told.values() for one in report.accounts}
    held = Counter(
        (lease.holder, lease.account_id in configured or lease.account in mentioned) for lease in fleet.leases
    )
    found = []
    for one in _ordered(fleet):
        reason, remedy = _amiss(one, None if one.id == me else told.get(one.id), namesakes.get(one.id, 0))
        if one.id in unreadable:
            reason, remedy = _UNREADABLE.format(version=one.version), _UNREADABLE_REMEDY
        found.append(
            ReplicaStatus(
                name=names[one.id],
                id=str(one.id),
                version=one.version,
                started_at=one.started_at,
                silent_secs=round(one.silent_secs, 1),
                live=one.is_live,
                accounts=held[one.id, True],
                unconfigured=held[one.id, False],
                reason=reason,
                remedy=remedy,
            )
        )
    return found


def _amiss(one: Replica, report: StatusReport | None, namesakes: int) -> tuple[str, str]:
    """Return what is wrong with another replica by its report, or with a name that so many have, and the remedy."""
    if report and report.config and report.config.error:
        return report.config.error, _RELOAD_REMEDY
    if namesakes:
        count = "two" if namesakes == 2 else str(namesakes)
        return _NAMESAKES.format(count=count, name=one.name), _NAMESAKES_REMEDY
    return "", ""


def _ordered(fleet: Fleet) -> list[Replica]:
    """Return those that live, then of each other name the one last heard of: a restarted pod keeps its name."""
    live = sorted((one for one in fleet.replicas if one.is_live), key=lambda one: (one.name, one.id))
    taken = {one.name for one in live}
    lost = {one.name: one for one in reversed(_lost(fleet)) if one.name not in taken}
    return [*live, *(lost[name] for name in sorted(lost))]


def _lost(fleet: Fleet) -> list[Replica]:
    return sorted((one for one in fleet.replicas if not one.is_live), key=lambda one: (one.silent_secs, one.id))


def _namesakes(fleet: Fleet, at: datetime) -> dict[UUID, int]:
    """Return the replicas that run beside others of their name, and how many of it there are."""
    started: dict[str, datetime] = {}
    for one in fleet.replicas:
        started[one.name] = max(one.started_at, started.get(one.name, _NEVER))
    beside = [
        one
        for one in fleet.replicas
        if one.is_live and one.silent_secs + _OVERLAP_SECS < (at - started[one.name]).total_seconds()
    ]
    count = Counter(one.name for one in beside)
    return {one.id: count[one.name] for one in beside if count[one.name] > 1}


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
    configured = _configured(fleet)
    names = _names(fleet)
    said = {key: _by_name(one.accounts) for key, one in told.items()}
    known = _by_name(stored) | _by_name(own.accounts)
    told_of = {one.name for one in own.accounts}.union(*said.values())
    shown = [
        one for one in fleet.leases if one.holder is None or one.account_id in configured or one.account in told_of
    ]
    found = [_account(lease, _said_of(lease, said, known), names) for lease in shown]
    leased = {lease.account for lease in fleet.leases}
    found += [one for one in own.accounts if one.name not in leased]
    return sorted(_with_former(found, fleet, told), key=lambda one: one.name)


def _configured(fleet: Fleet) -> frozenset[int]:
    return frozenset[int]().union(*(one.accounts for one in fleet.replicas if one.is_live))


def _with_former(
    accounts: Sequence[AccountStatus], fleet: Fleet, told: Mapping[UUID, StatusReport]
) -> Sequence[AccountStatus]:
    """Add what former holders said of sources that nobody has read with success since they were taken over."""
    lacking = {
        one.name for one in accounts if not one.sources or not all(source.last_success_at for source in one.sources)
    }
    if not lacking:
        return accounts
    published = (_published(one) for one in [one for one in _lost(fleet) if one.report][:_MOST_FORMER])
    former: dict[str, dict[str, SourceStatus]] = {name: {} for name in lacking}
    for report in [*told.values(), *(one for one in published if one)]:
        for account in report.accounts:
            if account.name in lacking:
                _keep_newest(former[account.name], account.sources)
    return [_after(one, former[one.name]) if former.get(one.name) else one for one in accounts]


def _keep_newest(found: dict[str, SourceStatus], sources: Iterable[SourceStatus]) -> None:
    """Keep of each source what was said by who read it last with success."""
    for one in sources:
        known = found.get(one.name)
        if one.last_success_at and (known is None or one.last_success_at > (known.last_success_at or _NEVER)):
            found[one.name] = one


def _after(account: AccountStatus, former: Mapping[str, SourceStatus]) -> AccountStatus:
    """Return an account with the last success of former holders, until its holder has one or says anything at all."""
    if not account.sources:
        untried = [replace(one, up=None, since=None, reason="", remedy="") for one in former.values()]
        return replace(account, sources=untried)
    return replace(
        account,
        sources=[
            replace(one, last_success_at=former[one.name].last_success_at)
            if one.last_success_at is None and one.name in former
            else one
            for one in account.sources
        ],
    )


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
