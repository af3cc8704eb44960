"""Reports for the status page: a usual day, a bad one, the first minute, a large fleet."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from mcwatch.domain.status import (
    AccountStatus,
    ConfigStatus,
    CoverageStatus,
    CoverRun,
    CoverState,
    DestinationStatus,
    QueueStatus,
    QuotaStatus,
    ReplicaStatus,
    SourceStatus,
    StatusReport,
    StoreStatus,
)

NOW = datetime(2026, 3, 12, 14, 20, 7, tzinfo=UTC)
WEEK = timedelta(days=7)

Hole = tuple[CoverState, float, float]
"""A state, how many hours ago it began, and how many hours it is long."""


def coverage(*holes: Hole, owed_hours: float = 168.0) -> CoverageStatus:
    """Return the coverage of a finder that is read but for these holes, the oldest first."""
    start = at = NOW - WEEK
    runs: list[CoverRun] = []
    owed = NOW - timedelta(hours=owed_hours)
    if owed > start:
        runs.append(CoverRun(start, owed, CoverState.BEFORE))
        at = owed
    for state, ago, length in holes:
        begin = NOW - timedelta(hours=ago)
        end = begin + timedelta(hours=length)
        runs += [CoverRun(at, begin, CoverState.COVERED), CoverRun(begin, end, state)]
        at = end
    if at < NOW:
        runs.append(CoverRun(at, NOW, CoverState.COVERED))
    return CoverageStatus(start, NOW, [run for run in runs if run.start < run.end])


def account(name: str, *holes: Hole, number: int = 0) -> AccountStatus:
    """Return an account that works."""
    finder = SourceStatus(
        name="message_finder", up=True, since=NOW - WEEK, last_success_at=NOW - timedelta(seconds=4 + number % 20),
        lag_secs=4.2 + number % 20, covered_until=NOW, coverage=coverage(*holes), received=1_204_518 - 977 * number,
        new=81_207 - 431 * number, duplicate=1_123_311 - 546 * number,
    )  # fmt: skip
    queue = SourceStatus(
        name="processing_queue", up=True, since=NOW - WEEK, last_success_at=NOW - timedelta(seconds=11),
        received=40_118, new=9_330 - 7 * number, duplicate=30_788,
    )  # fmt: skip
    return AccountStatus(
        name=name, up=True, since=NOW - WEEK, clock_skew_secs=0.3, sources=[finder, queue],
        quota=[QuotaStatus(endpoint="message_finder", limit=300, remaining=max(20, 241 - 11 * number))],
        queues=[
            QueueStatus(type="processing", depth=14 + 3 * number, oldest_secs=38.0),
            QueueStatus(type="bulk_processing", depth=0),
        ],
    )  # fmt: skip


def destination(name: str, number: int = 0) -> DestinationStatus:
    """Return a destination that works."""
    offered = 90_537
    return DestinationStatus(
        name=name, up=True, since=NOW - WEEK, offered=offered, delivered=offered - number, waiting=number,
        oldest_secs=1.2 if number else None, dead_lettered=0,
    )  # fmt: skip


def usual() -> StatusReport:
    """Return a daemon that is well and has seen something of life: an outage, a busy second, a busy receiver."""
    return StatusReport(
        version="1.0.0", live=True, healthy=True, at=NOW, started_at=NOW - timedelta(days=23, hours=5),
        uptime_secs=timedelta(days=23, hours=5).total_seconds(),
        config=ConfigStatus(file="/etc/mcwatch/mcwatch.yaml", loaded_at=NOW - timedelta(days=2, hours=3)),
        store=StoreStatus(bytes=412 * 2**20, backlog_bytes=3 * 2**20, backlog_limit_bytes=2 * 2**30),
        accounts=[
            account("acme-europe"),
            account("acme-americas", (CoverState.REJECTED_GAP, 160, 9), (CoverState.GAP, 62.4, 3.75), number=1),
        ],
        destinations=[destination("splunk", 12), destination("elastic"), destination("archive")],
    )  # fmt: skip


def well() -> StatusReport:
    """Return a daemon to which nothing has ever happened."""
    return msgspec.structs.replace(usual(), accounts=[account("acme-europe"), account("acme-americas", number=1)])


def broken() -> StatusReport:
    """Return a daemon with much amiss."""
    refused, remedy = (
        "the API refuses the credentials (401)",
        "renew the client secret in accounts.acme-europe.api.auth",
    )
    down = account("acme-europe", (CoverState.MISSING, 26, 26))
    down = msgspec.structs.replace(
        down, up=False, reason=refused, remedy=remedy, clock_skew_secs=-42.0, undecodable_letters=3,
        sources=[msgspec.structs.replace(one, up=False, reason=refused, remedy=remedy, lag_secs=93_600.0,
                                         last_error=refused) for one in down.sources],
    )  # fmt: skip
    holes = [
        (CoverState.REJECTED_GAP, 166.0, 20.0), (CoverState.GAP, 120.0, 11.5), (CoverState.INCOMPLETE, 90.0, 0.0003),
        (CoverState.GAP, 80.2, 0.05), (CoverState.INCOMPLETE, 33.0, 0.5), (CoverState.MISSING, 8.0, 2.25),
    ]  # fmt: skip
    report = usual()
    splunk, elastic, archive = report.destinations
    return msgspec.structs.replace(
        report,
        healthy=False,
        config=ConfigStatus(
            file="/etc/mcwatch/mcwatch.yaml", loaded_at=NOW - timedelta(days=2), failed_at=NOW - timedelta(minutes=12),
            error="mcwatch.yaml:14: destinations.0.sink.tokn: no such key; did you mean token?",
        ),
        store=StoreStatus(
            bytes=2300 * 2**20, backlog_bytes=1980 * 2**20, backlog_limit_bytes=2 * 2**30, paused=["backlog"]
        ),
        accounts=[account("acme-asia", number=2), account("acme-americas", *holes, number=20), down],
        destinations=[
            archive,
            msgspec.structs.replace(
                splunk, up=False, reason="https://splunk.example:8088 refuses the token (403)",
                remedy="check the HEC token and that it may write to the index", delivered=61_002, waiting=29_531,
                oldest_secs=7_412.0, dead_letters=4, dead_lettered=4, last_error="connection refused",
                last_error_at=NOW - timedelta(seconds=41),
            ),
            msgspec.structs.replace(elastic, dead_letters=2, dead_lettered=2, delivered=90_535),
        ],
    )  # fmt: skip


def starting() -> StatusReport:
    """Return a daemon none of whose accounts was tried yet."""
    names = ("acme-europe", "acme-americas")
    sources = [SourceStatus(name="message_finder"), SourceStatus(name="processing_queue")]
    return StatusReport(
        version="1.0.0", live=True, healthy=True, at=NOW, started_at=NOW, uptime_secs=0.4,
        config=ConfigStatus(file="mcwatch.yaml", loaded_at=NOW),
        store=StoreStatus(bytes=2**18, backlog_limit_bytes=2 * 2**30),
        accounts=[AccountStatus(name=name, sources=sources) for name in names],
        destinations=[DestinationStatus(name="splunk")],
    )  # fmt: skip


def fleet(count: int = 1000) -> StatusReport:
    """Return many accounts; every 50th has a gap, every 100th is down."""
    accounts: list[AccountStatus] = []
    for number in range(count):
        holes: list[Hole] = [(CoverState.GAP, 30.0 + number % 90, 2.0)] if number % 50 == 7 else []
        one = account(f"tenant-{number:04}", *holes, number=number % 25)
        if number % 100 == 3:
            one = msgspec.structs.replace(
                one, up=False, reason="the application is not allowed to track mail (403)",
                remedy="give its role the permission Account | Message Tracking | Read",
            )  # fmt: skip
        accounts.append(one)
    return msgspec.structs.replace(usual(), healthy=False, accounts=accounts)


def replicas() -> StatusReport:
    """Return what one of three replicas tells: another is lost, one could not reload, and nobody holds an account."""
    held = [
        msgspec.structs.replace(one, holder=holder)
        for one, holder in zip(usual().accounts, ("mcwatch-0", "mcwatch-1"), strict=True)
    ]
    unheld = msgspec.structs.replace(account("acme-asia", number=2), up=None, held=False, unheld_secs=95.0)
    return msgspec.structs.replace(
        usual(), healthy=False, replica="mcwatch-0", accounts=[*held, unheld],
        fleet=[
            replica("mcwatch-0", 1, accounts=1, unconfigured=1),
            replica("mcwatch-1", 2, accounts=1, reason="mcwatch.yaml:14: no such key", remedy="mend the file"),
            replica("mcwatch-2", 3, live=False, silent_secs=312.4),
        ],
    )  # fmt: skip


def replica(name: str, number: int, **more: object) -> ReplicaStatus:
    """Return a replica that lives, or as ``more`` says."""
    told = {"version": "1.0.0", "silent_secs": 1.2, "live": True, "started_at": NOW - timedelta(hours=number)}
    return msgspec.convert({"name": name, "id": str(UUID(int=number)), **told, **more}, ReplicaStatus)


def hostile(text: str) -> StatusReport:
    """Return a report in which the text stands wherever the other side, or a file, can bring one in."""
    report = broken()
    accounts = [
        msgspec.structs.replace(
            one, name=text, reason=text, remedy=text, holder=text,
            sources=[msgspec.structs.replace(source, reason=f"{text}!", last_error=text) for source in one.sources],
            queues=[msgspec.structs.replace(queue, type=text) for queue in one.queues],
            quota=[msgspec.structs.replace(quota, endpoint=text) for quota in one.quota],
        )
        for one in report.accounts[:1]
    ]  # fmt: skip
    return msgspec.structs.replace(
        report,
        version=text,
        replica=text,
        fleet=[replica(text, 1, version=text, reason=text, remedy=text)],
        config=ConfigStatus(file=text, loaded_at=NOW, failed_at=NOW, error=text),
        store=msgspec.structs.replace(report.store, reason=text, remedy=text, paused=[text]),
        accounts=accounts,
        destinations=[
            msgspec.structs.replace(one, name=f"{text}{number}", reason=text, last_error=f"{text}!")
            for number, one in enumerate(report.destinations)
        ],
    )
