"""What the daemon, or a store without a daemon, says of itself."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from mcwatch import __version__
from mcwatch.app.coverage import coverage_status, search_statuses
from mcwatch.domain.outbox import DestinationFigures, FeedFigures, StoreSnapshot
from mcwatch.domain.status import (
    AccountStatus,
    ConfigStatus,
    DestinationStatus,
    QueueStatus,
    QuotaStatus,
    SkippedStatus,
    SourceReading,
    SourceStatus,
    StatusReport,
    StoreStatus,
    problems,
)
from mcwatch.interfaces import Source
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.telemetry.health import STORE, Component, Condition, Health

_ACCOUNTS_AT_ONCE = 25


@dataclass
class LiveAccount:
    """An account of the running daemon."""

    name: str
    client: MimecastClient
    sources: list[Source] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Daemon:
    """What a report is made of beside the store's figures."""

    at: datetime
    started_at: datetime
    config: ConfigStatus | None
    health: Health
    accounts: Sequence[LiveAccount]
    unacknowledged: Mapping[str, int]
    """By the name of each configured destination."""
    paused: list[str]
    is_full: bool
    """Whether the store rests for want of room on its disk."""


async def build_report(daemon: Daemon, figures: StoreSnapshot) -> StatusReport:
    """Put the report of a running daemon together, each account as it is at one moment."""
    feeds = {(feed.account, feed.source): feed for feed in figures.feeds}
    report = StatusReport(
        version=__version__,
        live=True,
        healthy=daemon.health.healthy,
        at=daemon.at,
        started_at=daemon.started_at,
        uptime_secs=round((daemon.at - daemon.started_at).total_seconds(), 1),
        config=daemon.config,
        store=_store(figures, daemon.health.condition(STORE), daemon.paused, is_full=daemon.is_full),
        accounts=await _accounts(daemon, feeds, figures.undecodable_letters),
        destinations=[
            msgspec.structs.replace(
                _destination(one, daemon.at, daemon.health.condition(Component.of_destination(one.name))),
                unacknowledged=daemon.unacknowledged[one.name],
            )
            for one in figures.destinations
            if one.name in daemon.unacknowledged
        ],
    )
    return msgspec.structs.replace(report, healthy=report.healthy and not problems(report))


def offline_report(
    figures: StoreSnapshot, at: datetime, readings: Mapping[tuple[str, str], SourceReading]
) -> StatusReport:
    """Put together what the store alone can say. ``readings`` is how far each (account, source) was read."""
    return StatusReport(
        version=__version__,
        live=False,
        healthy=False,
        at=at,
        store=_store(figures, None, [], is_full=False),
        accounts=stored_accounts(figures, at, readings),
        destinations=[_destination(one, at, None) for one in figures.destinations],
    )


def stored_accounts(
    figures: StoreSnapshot, at: datetime, readings: Mapping[tuple[str, str], SourceReading] | None = None
) -> list[AccountStatus]:
    """Return what the store alone can say of every account, by name; ``readings`` as in :func:`offline_report`."""
    known = readings or {}
    sources: dict[str, list[SourceStatus]] = {}
    for feed in figures.feeds:
        reading = known.get((feed.account, feed.source), SourceReading())
        sources.setdefault(feed.account, []).append(_source_figures(feed, reading, at))
    return [
        AccountStatus(name=name, undecodable_letters=figures.undecodable_letters.get(name, 0), sources=sources[name])
        for name in sorted(sources)
    ]


def _store(figures: StoreSnapshot, condition: Condition | None, paused: list[str], *, is_full: bool) -> StoreStatus:
    down = condition is not None and condition.up is False
    return StoreStatus(
        state=("full" if is_full else "unavailable") if down else "ok",
        reason=condition.reason if condition else "",
        remedy=condition.remedy if condition else "",
        bytes=figures.store_bytes,
        backlog_bytes=figures.outbox_bytes,
        backlog_limit_bytes=figures.outbox_limit_bytes,
        paused=paused,
    )


async def _accounts(
    daemon: Daemon, feeds: dict[tuple[str, str], FeedFigures], letters: dict[str, int]
) -> list[AccountStatus]:
    found = []
    for number, account in enumerate(daemon.accounts, 1):
        found.append(_account(account, daemon, feeds, letters))
        if number % _ACCOUNTS_AT_ONCE == 0:
            # A thousand accounts take a tenth of a second, in which the daemon has other things to do.
            await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop; no time passes
    return found


def _account(
    account: LiveAccount, daemon: Daemon, feeds: dict[tuple[str, str], FeedFigures], letters: dict[str, int]
) -> AccountStatus:
    condition = daemon.health.condition(Component.of_account(account.name))
    return AccountStatus(
        name=account.name,
        up=condition.up,
        since=condition.since,
        reason=condition.reason,
        remedy=condition.remedy,
        clock_skew_secs=account.client.skew_secs,
        undecodable_letters=letters.get(account.name, 0),
        quota=_quota(account.client),
        sources=[
            _source(account, source, daemon.health, feeds.get((account.name, source.name)))
            for source in account.sources
        ],
        queues=[
            QueueStatus(
                type=queue,
                depth=reading.depth,
                oldest_secs=None if reading.oldest_at is None else _age(reading.oldest_at, account.client.server_now()),
            )
            for source in account.sources
            for queue, reading in source.reading().queues.items()
        ],
    )


def _quota(client: MimecastClient) -> list[QuotaStatus]:
    endpoints = (Endpoint.PROCESSING_QUEUE, Endpoint.MESSAGE_FINDER)
    seen = [client.quota_seen(endpoint) for endpoint in endpoints]
    return [
        QuotaStatus(
            endpoint=one.endpoint, limit=one.limit, remaining=one.remaining, waiting_secs=round(one.closed_for_secs, 1)
        )
        for one in seen
        if one.limit is not None or one.remaining is not None or one.closed_for_secs
    ]


def _source(account: LiveAccount, source: Source, health: Health, figures: FeedFigures | None) -> SourceStatus:
    component = Component.of_source(account.name, source.name)
    condition = health.condition(component)
    reading = source.reading()
    # Coverage is told on the API's clock, which is not this machine's when that one is wrong.
    at = account.client.server_now()
    covered = reading.covered_until
    figures = figures or FeedFigures("", source.name, 0, 0, 0, 0)
    return SourceStatus(
        name=source.name,
        up=condition.up,
        since=condition.since,
        reason=condition.reason,
        remedy=condition.remedy,
        last_success_at=health.last_success_at(component),
        last_error=condition.last_error,
        last_error_at=condition.last_error_at,
        lag_secs=None if covered is None else _age(covered, at),
        covered_until=covered,
        coverage=coverage_status(reading.searches, at),
        searches=search_statuses(reading.searches, at),
        received=figures.received,
        new=figures.new,
        duplicate=figures.duplicate,
        undecodable=figures.undecodable,
    )


def _source_figures(figures: FeedFigures, reading: SourceReading, at: datetime) -> SourceStatus:
    covered = reading.covered_until
    return SourceStatus(
        name=figures.source,
        lag_secs=None if covered is None else _age(covered, at),
        covered_until=covered,
        coverage=coverage_status(reading.searches, at),
        searches=search_statuses(reading.searches, at),
        received=figures.received,
        new=figures.new,
        duplicate=figures.duplicate,
        undecodable=figures.undecodable,
    )


def _destination(figures: DestinationFigures, at: datetime, condition: Condition | None) -> DestinationStatus:
    return DestinationStatus(
        name=figures.name,
        up=condition.up if condition else None,
        since=condition.since if condition else None,
        reason=condition.reason if condition else "",
        remedy=condition.remedy if condition else "",
        last_error=condition.last_error if condition else "",
        last_error_at=condition.last_error_at if condition else None,
        waiting=figures.waiting,
        oldest_secs=None if figures.oldest_waiting_at is None else _age(figures.oldest_waiting_at, at),
        offered=figures.offered,
        delivered=figures.delivered,
        dead_lettered=sum(figures.dead_lettered.values()),
        not_selected=figures.not_selected,
        skipped=figures.skipped,
        skipped_ranges=[SkippedStatus(one.start, one.end, one.events) for one in figures.skipped_ranges],
        dead_letters=figures.dead_letters,
    )


def _age(then: datetime, at: datetime) -> float:
    return max(0.0, round((at - then).total_seconds(), 1))
