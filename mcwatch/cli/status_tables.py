"""The status report as tables."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from mcwatch.cli.tables import state, table, text
from mcwatch.domain.status import StatusReport, problems
from mcwatch.httpserver import texts


def parts(report: StatusReport) -> Iterator[RenderableType]:
    """Return what to print, in order."""
    yield _headline(report)
    for problem in problems(report):
        yield Text.assemble(("! ", "bold red"), text(problem.subject, "bold"), ": ", text(problem.reason))
        if problem.remedy:
            yield text(f"  → {problem.remedy}")
    yield ""
    yield _accounts(report)
    yield ""
    if any(source.searches for account in report.accounts for source in account.sources):
        yield _coverage(report)
        yield ""
    if any(account.queues or account.quota for account in report.accounts):
        yield _budgets(report)
        yield ""
    yield _destinations(report)
    for one in report.destinations:
        if one.skipped_ranges:
            yield text(f"{one.name} skipped {texts.skipped(one.skipped_ranges)}")
    yield ""
    store = report.store
    yield text(
        f"store {texts.size(store.bytes)}, backlog {texts.size(store.backlog_bytes)}"
        f" of {texts.size(store.backlog_limit_bytes)}"
    )


def _headline(report: StatusReport) -> Text:
    if not report.live:
        return text(f"mcwatch {report.version}: no daemon is running; this is what the store knows", "bold yellow")
    words = ("all is well", "green") if report.healthy else ("needs attention", "bold red")
    return Text.assemble(f"mcwatch {report.version}, running for {texts.duration(report.uptime_secs)}: ", words)


def _state(report: StatusReport, up: bool | None) -> Text:
    """Say how a part is; a store without a daemon cannot know."""
    return state(up) if report.live else text("–")


def _accounts(report: StatusReport) -> RenderableType:
    rows = [
        (
            account.name,
            source.name,
            _state(report, source.up),
            texts.ago(source.last_success_at, report.at) if report.live else "–",
            texts.duration(source.lag_secs),
            texts.count(source.received),
            texts.count(source.new),
            texts.count(source.undecodable),
        )
        for account in report.accounts
        for source in account.sources
    ]
    return table("Accounts", ("account", "source", "state", "last success", "lag", "rows", "new", "undecodable"), rows)


def _coverage(report: StatusReport) -> RenderableType:
    rows = [
        (
            account.name,
            search.search,
            f"{search.since:%Y-%m-%d %H:%M}",
            f"{search.covered_until:%Y-%m-%d %H:%M:%S}",
            texts.duration(search.lag_secs),
            _length(search.missing_secs),
            _length(search.gap_secs),
            _length(search.rejected_gap_secs),
            _length(search.incomplete_secs),
        )
        for account in report.accounts
        for source in account.sources
        for search in source.searches
    ]
    holes = ("missing", "gaps", "gaps of rejected", "incomplete")
    columns = ("account", "search", "from (UTC)", "read until (UTC)", "lag", *holes)
    return table("Coverage", columns, rows)


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
    return table("Queues and quota", ("account", "what", "now", "oldest"), rows)


def _destinations(report: StatusReport) -> RenderableType:
    rows = [
        (
            one.name,
            _state(report, one.up),
            texts.count(one.delivered),
            texts.count(one.waiting),
            texts.duration(one.oldest_secs),
            texts.count(one.dead_letters),
            f"{texts.ago(one.last_error_at, report.at)}: {one.last_error}" if one.last_error else "",
        )
        for one in report.destinations
    ]
    columns = ("destination", "state", "delivered", "waiting", "oldest", "dead letters", "last error")
    return table("Destinations", columns, rows)
