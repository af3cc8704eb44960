"""What a running daemon says of itself: the one report behind ``/status``, the status page and ``mcwatch status``.

Encoded as JSON under these names. Times are RFC 3339 in UTC, durations seconds, sizes bytes. ``up`` is null where
nothing has been tried yet; figures nobody knows yet are null. ``reason`` and ``remedy`` are empty while all is well; of
a part that is up they say why it does not work as well as it should.
Nothing here quotes mail, a receiver or a secret.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec

from mcwatch.domain.window.ranges import Window

_RELOAD_REMEDY = "mend the file and reload it; until then the configuration before it is at work"
_MOST_UNHELD_SECS = 60.0
"""A replica that stops, or is lost, leaves its accounts to the others within the lease's duration; then a few seconds
more pass until all is told."""


class StoreStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The store. ``state`` is ``ok``, ``full``, ``unavailable`` or ``corrupt``; ``paused`` says why polling rests."""

    state: str = "ok"
    reason: str = ""
    remedy: str = ""
    bytes: int = 0
    backlog_bytes: int = 0
    backlog_limit_bytes: int = 0
    paused: list[str] = []


class QuotaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the API last said of a request budget; ``endpoint`` is ``*`` where one budget serves the whole account."""

    endpoint: str
    limit: int | None = None
    remaining: int | None = None
    waiting_secs: float = 0.0


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One processing queue at its last complete snapshot."""

    type: str
    depth: int | None = None
    oldest_secs: float | None = None


class RangeStatus(msgspec.Struct, frozen=True):
    """A range of time, half-open."""

    start: datetime
    end: datetime


class SearchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The coverage of one search of the finder.

    ``since`` is where what is owed begins, ``lag_secs`` the age of the oldest moment of it that is neither covered,
    incomplete nor gap. ``missing`` is yet to be read; ``gaps`` left the API's history before; ``rejected_gaps`` were
    read when their rejected and deferred mail had left it; of ``incomplete`` the API showed only a part. Of each the
    newest ranges are listed, and all of it counted in seconds.
    """

    search: str
    since: datetime
    covered_until: datetime
    lag_secs: float
    missing: list[RangeStatus] = []
    missing_secs: float = 0.0
    gaps: list[RangeStatus] = []
    gap_secs: float = 0.0
    rejected_gaps: list[RangeStatus] = []
    rejected_gap_secs: float = 0.0
    incomplete: list[RangeStatus] = []
    incomplete_secs: float = 0.0


class CoverState(StrEnum):
    """What became of a range of time in the searches of a source, the worst of them first.

    ``gap``: not read, and out of the API's history by now; ``missing``: yet to be read; ``incomplete``: the API showed
    only a part; ``rejected_gap``: read, but too late for rejected and deferred mail; ``covered``: read completely;
    ``before``: no search owed anything then.
    """

    GAP = "gap"
    MISSING = "missing"
    INCOMPLETE = "incomplete"
    REJECTED_GAP = "rejected_gap"
    COVERED = "covered"
    BEFORE = "before"


class CoverRun(msgspec.Struct, frozen=True):
    """A range of time, half-open, that stands alike."""

    start: datetime
    end: datetime
    state: CoverState


class CoverageStatus(msgspec.Struct, frozen=True):
    """The last 7 days of a source: what is worst among its searches at each moment.

    ``runs`` follow each other without holes from ``start`` to ``end``. They are exact to the second, unless there would
    be more than 200: ``cell_secs`` is 3600 then, and each run is of whole hours that are as bad as their worst second.
    """

    start: datetime
    end: datetime
    runs: list[CoverRun]
    cell_secs: int = 1


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One feed of an account.

    ``lag_secs`` is the age of the oldest moment not covered, ``coverage`` the last 7 days (finder only, once it has
    been tried).
    """

    name: str
    up: bool | None = None
    since: datetime | None = None
    reason: str = ""
    remedy: str = ""
    last_success_at: datetime | None = None
    last_error: str = ""
    last_error_at: datetime | None = None
    lag_secs: float | None = None
    covered_until: datetime | None = None
    coverage: CoverageStatus | None = None
    searches: list[SearchStatus] = []
    received: int = 0
    new: int = 0
    duplicate: int = 0
    undecodable: int = 0


class AccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One account. ``clock_skew_secs`` is the API's clock minus ours; ``undecodable_letters`` counts kept rows.

    ``holder`` is the replica that holds it, empty where nobody does or there is but one process. ``held`` says whether
    anybody does, ``unheld_secs`` for how long nobody has.
    """

    name: str
    holder: str = ""
    held: bool = True
    unheld_secs: float = 0.0
    up: bool | None = None
    since: datetime | None = None
    reason: str = ""
    remedy: str = ""
    clock_skew_secs: float | None = None
    undecodable_letters: int = 0
    quota: list[QuotaStatus] = []
    sources: list[SourceStatus] = []
    queues: list[QueueStatus] = []


class SkippedStatus(msgspec.Struct, frozen=True):
    """Events that a destination was not waited for: recorded from ``start`` on and before ``end``."""

    start: datetime
    end: datetime
    events: int


class DestinationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One destination: offered = delivered + dead_lettered + not_selected + skipped + waiting.

    ``unacknowledged`` batches, of the events that wait, were handed over, and the receiver has yet to say that it has
    stored them. ``skipped_ranges`` are the newest 10 of what was passed over, newest first: ``mcwatch replay`` takes
    their times while the events are kept.
    """

    name: str
    up: bool | None = None
    since: datetime | None = None
    reason: str = ""
    remedy: str = ""
    last_error: str = ""
    last_error_at: datetime | None = None
    waiting: int = 0
    unacknowledged: int = 0
    oldest_secs: float | None = None
    offered: int = 0
    delivered: int = 0
    dead_lettered: int = 0
    not_selected: int = 0
    skipped: int = 0
    skipped_ranges: list[SkippedStatus] = []
    dead_letters: int = 0


class ConfigStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration file at work.

    ``failed_at`` and ``error`` tell of a newer one that could not be used; they are empty again once one could.
    """

    file: str
    loaded_at: datetime
    failed_at: datetime | None = None
    error: str = ""


class ReplicaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One of the processes that share a store.

    ``silent_secs`` is how long ago it was heard of. ``accounts`` is how many it holds that are configured,
    ``unconfigured`` how many besides whose events it still delivers. ``reason`` says what is wrong with it: nothing is
    known of it, it works by another configuration than it should, or another one has its name.
    """

    name: str
    id: str
    version: str
    started_at: datetime
    silent_secs: float
    live: bool
    accounts: int = 0
    unconfigured: int = 0
    reason: str = ""
    remedy: str = ""


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report. ``live`` is false when it was read from the store because no daemon runs.

    ``replica`` names the process that tells it, ``fleet`` all that share its store; both are empty where the store
    serves one process. ``started_at`` and ``uptime_secs`` are those of the one that tells, else of the oldest one.
    """

    version: str
    live: bool
    healthy: bool
    at: datetime
    replica: str = ""
    fleet: list[ReplicaStatus] = []
    started_at: datetime | None = None
    uptime_secs: float | None = None
    config: ConfigStatus | None = None
    store: StoreStatus = StoreStatus()
    accounts: list[AccountStatus] = []
    destinations: list[DestinationStatus] = []


@dataclass(frozen=True, slots=True)
class QueueReading:
    """A queue at a complete snapshot; ``oldest_at`` is None when it was empty or no entry named its time."""

    depth: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchReading:
    """How one search of the finder has been read; ranges in order, on the API's clock.

    ``since`` is where what is owed begins, ``missing`` what of it up to ``newest`` is still to be read; from there on
    nothing is (None: from ``covered_until``). ``aged`` was read when rejected and deferred mail had left the API
    already.
    """

    label: str
    since: datetime
    covered_until: datetime
    newest: datetime | None = None
    missing: Sequence[Window] = ()
    aged: Sequence[Window] = ()
    incomplete: Sequence[Window] = ()
    gaps: Sequence[Window] = ()


@dataclass(frozen=True, slots=True)
class SourceReading:
    """What a source has read: up to when (every search), and each queue at its last complete snapshot."""

    covered_until: datetime | None = None
    searches: Sequence[SearchReading] = ()
    queues: Mapping[str, QueueReading] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing ``mcwatch check`` has tried; ``detail`` says what was found, ``remedy`` what to do when not ``ok``."""

    subject: str
    ok: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that needs attention, and what to do about it."""

    subject: str
    reason: str
    remedy: str = ""


def problems(report: StatusReport) -> list[Problem]:
    """Return what is down, rests, or waits for somebody to look at it, the store first."""
    store = report.store
    found = [] if store.state == "ok" else [Problem("store", store.reason or store.state, store.remedy)]
    if report.config and report.config.error:
        found.append(Problem("configuration", report.config.error, _RELOAD_REMEDY))
    found.extend(Problem("polling pauses", reason) for reason in store.paused)
    found.extend(Problem(f"replica {one.name}", one.reason, one.remedy) for one in report.fleet if one.reason)
    for account in report.accounts:
        if report.live:  # else no process runs at all, which is said elsewhere
            found.extend(_unheld(account))
        found.extend(_account_problems(account))
    for one in report.destinations:
        found.extend(_destination_problems(one))
    return found


def _destination_problems(one: DestinationStatus) -> Iterator[Problem]:
    if one.up is False:
        yield Problem(f"destination {one.name}", one.reason, one.remedy)
    if one.dead_letters:
        yield Problem(
            f"dead letters of {one.name}",
            f"{one.dead_letters:,} events were refused for good and are kept",
            f"mcwatch dead-letters list --destination {one.name} says why; then retry or discard them",
        )


def is_abandoned(account: AccountStatus) -> bool:
    """Tell whether nobody has held an account for longer than a hand-over takes."""
    return not account.held and account.unheld_secs > _MOST_UNHELD_SECS


def _unheld(account: AccountStatus) -> Iterator[Problem]:
    if is_abandoned(account):
        yield Problem(
            f"account {account.name}",
            "no replica holds it: it is not polled, and what waits of it is not delivered",
            "start a replica whose configuration has the account; the logs of those that run say why none takes it",
        )


def _account_problems(account: AccountStatus) -> Iterator[Problem]:
    if account.reason:
        yield Problem(f"account {account.name}", account.reason, account.remedy)
    for source in account.sources:
        # A source that is down for its account's reason would only say the same again.
        if source.reason and source.reason != account.reason:
            yield Problem(f"source {account.name} {source.name}", source.reason, source.remedy)
    if account.undecodable_letters:
        yield Problem(
            f"unreadable rows of {account.name}",
            f"{account.undecodable_letters:,} rows of the API could not be read and are kept",
            "mcwatch dead-letters list shows them; please report what they look like, then discard them",
        )
