"""The status report as tables: what needs attention first, then the figures, in as many columns as fit."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum

import msgspec
from rich.console import RenderableType
from rich.text import Text

from mcwatch.cli.picking import worth_a_look
from mcwatch.cli.tables import hanging, state, table, text
from mcwatch.domain.status import (
    AccountStatus,
    DestinationStatus,
    ReplicaStatus,
    SearchStatus,
    SourceStatus,
    StatusReport,
)
from mcwatch.httpserver import texts
from mcwatch.httpserver.account_cards import TAKEN_OVER, is_taken_over
from mcwatch.httpserver.attention import attention

_WIDE = 116
"""Columns of a terminal that shows every column of every table; on a narrower one the less telling are left out."""
_SEPARATOR = " · "


class Detail(IntEnum):
    """How much is told: what is left out first has the largest number."""

    STATE = 0
    COVERAGE = 1
    ALL = 2


def parts(
    report: StatusReport, width: int, detail: Detail = Detail.ALL, *, whole: bool = True
) -> Iterator[RenderableType]:
    """Return what to print on a terminal of so many columns, in order; unless ``whole``, few of many accounts."""
    wide = width >= _WIDE
    yield _headline(report)
    yield _summary(report)
    for one in attention(report):
        words = Text.assemble(text(one.named, "bold"), ": ", text(one.reason))
        yield hanging(Text("!", "bold red"), words)
        if one.remedy:
            yield hanging(Text("  →"), text(one.remedy))
    if report.fleet:
        yield ""
        yield _replicas(report)
    listed, left_out = (report.accounts, 0) if whole else worth_a_look(report.accounts)
    yield ""
    yield from _of_accounts(msgspec.structs.replace(report, accounts=listed), detail, wide=wide)
    if left_out:
        more = f"{left_out:,} more {'account' if left_out == 1 else 'accounts'}"
        yield text(f"{more}: --account NAME shows one, --account '*' all", "dim")
        yield ""
    yield _destinations(report)
    yield from _destination_notes(report)


def _of_accounts(report: StatusReport, detail: Detail, *, wide: bool) -> Iterator[RenderableType]:
    if report.accounts:
        yield _accounts(report, wide=wide)
        yield ""
    if detail >= Detail.COVERAGE and any(source.searches for _, source in _sources(report)):
        yield _coverage(report, wide=wide)
        yield ""
    if detail is Detail.ALL and any(account.queues or account.quota for account in report.accounts):
        yield _budgets(report)
        yield ""


def _headline(report: StatusReport) -> Text:
    if not report.live:
        return text(f"mcwatch {report.version}: no daemon is running; this is what the store knows", "bold yellow")
    words = ("all is well", "green") if report.healthy else ("needs attention", "bold red")
    live = sum(one.live for one in report.fleet)
    count = f"{live:,} {'replica' if live == 1 else 'replicas'} " if live else ""
    return Text.assemble(f"mcwatch {report.version}, {count}running for {texts.duration(report.uptime_secs)}: ", words)


def _summary(report: StatusReport) -> Text:
    store = report.store
    return text(
        _SEPARATOR.join(
            [
                _counted("account", [_in_words(one) for one in report.accounts], live=report.live),
                _counted("destination", [texts.state(one.up) for one in report.destinations], live=report.live),
                f"store {texts.size(store.bytes)}",
                f"backlog {texts.size(store.backlog_bytes)} of {texts.size(store.backlog_limit_bytes)}",
            ]
        )
    )


def _in_words(account: AccountStatus) -> str:
    return TAKEN_OVER if is_taken_over(account) else texts.state(account.up)


def _counted(what: str, states: Sequence[str], *, live: bool) -> str:
    """Say how many there are, and how many of them are not up."""
    whole = f"{len(states):,} {what}{'' if len(states) == 1 else 's'}"
    counts = Counter(how for how in states if how != texts.state(True))
    if not live or not states:
        return whole
    return f"{whole}: {', '.join(f'{count:,} {name}' for name, count in counts.items()) or 'up'}"


def _sources(report: StatusReport) -> Iterator[tuple[AccountStatus, SourceStatus]]:
    return ((account, source) for account in report.accounts for source in account.sources)


def _state(report: StatusReport, up: bool | None) -> Text:
    """Say how a part is; a store without a daemon cannot know."""
    return state(up) if report.live else text("–")


def _replicas(report: StatusReport) -> RenderableType:
    rows = [
        (
            one.name,
            text("live", "green") if one.live else text(f"lost {texts.duration(one.silent_secs)} ago", "dim"),
            _held(one),
            one.version,
            texts.ago(one.started_at, report.at),
        )
        for one in report.fleet
    ]
    return table("Replicas", ("replica", "state", "accounts", "version", "started"), rows, right=("accounts",))


def _held(one: ReplicaStatus) -> str:
    besides = f" (+{texts.count(one.unconfigured)} not configured)" if one.unconfigured else ""
    return f"{texts.count(one.accounts)}{besides}"


def _holder(account: AccountStatus) -> str:
    return account.holder or ("–" if account.held else f"nobody for {texts.duration(account.unheld_secs)}")


def _source_state(report: StatusReport, account: AccountStatus, source: SourceStatus) -> Text:
    if report.live and is_taken_over(account, source):
        return text("taken over", "dim")
    # A first catch-up may take hours, and is neither up nor down before its end.
    catching_up = report.live and source.up is None and source.received > 0
    return text("reading") if catching_up else _state(report, source.up)


def _accounts(report: StatusReport, *, wide: bool) -> RenderableType:
    rows: list[tuple[Text | str, ...]] = []
    shows_success = wide or not report.fleet
    for account, source in _sources(report):
        success = texts.ago(source.last_success_at, report.at) if report.live else "–"
        how = _source_state(report, account, source)
        place = (account.name, _holder(account)) if report.fleet else (account.name,)
        when = (success,) if shows_success else ()
        row = (*place, source.name, how, *when, texts.duration(source.lag_secs))
        figures = (texts.count(source.received), texts.count(source.new), texts.count(source.undecodable))
        rows.append((*row, *figures) if wide else (*row, texts.count(source.new)))
    place_names = ("account", "held by") if report.fleet else ("account",)
    names = (*place_names, "source", "state", *(("last success",) if shows_success else ()), "lag")
    counted = ("rows", "new", "undecodable") if wide else ("new",)
    return table("Accounts", (*names, *counted), rows, right=("lag", *counted))


def _coverage(report: StatusReport, *, wide: bool) -> RenderableType:
    rows: list[tuple[str, ...]] = []
    for account, source in _sources(report):
        for search in source.searches:
            until = f"{search.covered_until:%Y-%m-%d %H:%M:%S}"
            begin = (account.name, search.search, f"{search.since:%Y-%m-%d %H:%M}", until)
            lag = texts.duration(search.lag_secs)
            if wide:
                rows.append((*begin, lag, *(_length(secs) for _, secs in _holes(search))))
            else:
                rows.append((account.name, search.search, until, lag, _holes_in_words(search)))
    if wide:
        holes = ("missing", "gaps", "gaps of rejected", "incomplete")
        columns = ("account", "search", "from (UTC)", "read until (UTC)", "lag", *holes)
        return table("Coverage", columns, rows, right=("lag",))
    return table("Coverage", ("account", "search", "read until (UTC)", "lag", "holes"), rows, right=("lag",))


def _holes(search: SearchStatus) -> Iterable[tuple[str, float]]:
    return (
        ("missing", search.missing_secs),
        ("gaps", search.gap_secs),
        ("gaps of rejected", search.rejected_gap_secs),
        ("incomplete", search.incomplete_secs),
    )


def _holes_in_words(search: SearchStatus) -> str:
    return ", ".join(f"{name} {texts.duration(secs)}" for name, secs in _holes(search) if secs) or "none"


def _length(secs: float) -> str:
    return texts.duration(secs) if secs else "none"


def _budgets(report: StatusReport) -> RenderableType:
    rows = []
    for account in report.accounts:
        rows += [
            (
                account.name,
                f"queue {queue.type}",
                f"{texts.count(queue.depth)} messages",
                texts.duration(queue.oldest_secs),
            )
            for queue in account.queues
        ]
        rows += [
            (
                account.name,
                f"quota {quota.endpoint}",
                f"{texts.count(quota.remaining)} of {texts.count(quota.limit)} left",
                f"waits {texts.duration(quota.waiting_secs)}" if quota.waiting_secs else "",
            )
            for quota in account.quota
        ]
    return table("Queues and quota", ("account", "what", "now", "oldest"), rows, right=("now", "oldest"))


def _destinations(report: StatusReport) -> RenderableType:
    rows = [
        (
            one.name,
            _state(report, one.up),
            texts.count(one.delivered),
            texts.count(one.waiting),
            texts.duration(one.oldest_secs),
            texts.count(one.dead_letters),
        )
        for one in report.destinations
    ]
    figures = ("delivered", "waiting", "oldest", "dead letters")
    return table("Destinations", ("destination", "state", *figures), rows, right=figures)


def _destination_notes(report: StatusReport) -> Iterator[RenderableType]:
    """Say what takes a sentence: the last error, also of one that works again, and what was skipped."""
    for one in report.destinations:
        if one.last_error:
            yield text(_last_error(one, report))
        if one.skipped_ranges:
            yield text(f"{one.name} skipped {texts.skipped(one.skipped_ranges)}")


def _last_error(one: DestinationStatus, report: StatusReport) -> str:
    return f"{one.name}, last error {texts.ago(one.last_error_at, report.at)}: {one.last_error}"
