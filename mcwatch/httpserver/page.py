"""The status page: the report as HTML, complete without any script.

``fragment`` is what the script fetches again and again; ``document`` is the page around it.
"""

from datetime import datetime

from mcwatch.domain.status import (
    AccountStatus,
    DestinationStatus,
    QuotaStatus,
    SourceStatus,
    StatusReport,
    problems,
)
from mcwatch.httpserver import texts
from mcwatch.httpserver.html import Html, join, tag

_NAMES = {
    "message_finder": "message finder",
    "processing_queue": "processing queue",
    "processing": "processing",
    "bulk_processing": "bulk",
}
_TONES = {None: "idle", True: "good", False: "bad"}


def document(report: StatusReport) -> str:
    """Return the whole page."""
    head = join(
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'),
        Html('<link rel="stylesheet" href="/static/page.css"><script src="/static/page.js" defer></script>'),
        Html('<noscript><meta http-equiv="refresh" content="10"></noscript>'),
        tag("title", "mcwatch"),
    )
    unreachable = tag("p", id="unreachable", role="alert", class_="notice bad", hidden="hidden")
    main = tag("main", fragment(report), id="report")
    footer = tag(
        "footer",
        tag("a", "status as JSON", href="/status"),
        tag("a", "metrics", href="/metrics"),
        tag("a", "readiness", href="/readyz"),
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{unreachable}{main}{footer}</body></html>'


def fragment(report: StatusReport) -> Html:
    """Return the part that changes."""
    return join(
        _header(report),
        _attention(report),
        _figures(report),
        _section("Accounts", [_account(account, report.at) for account in report.accounts]),
        _section("Destinations", [_destination(destination, report.at) for destination in report.destinations]),
    )


def _header(report: StatusReport) -> Html:
    state = _pill("all is well", "good") if report.healthy else _pill("needs attention", "bad")
    about = f"version {report.version} · running for {texts.duration(report.uptime_secs)}"
    at = tag("time", report.at.strftime("%Y-%m-%d %H:%M:%S UTC"), datetime=report.at.isoformat())
    return tag("header", tag("h1", "mcwatch"), state, tag("p", about, " · ", at, class_="quiet"))


def _attention(report: StatusReport) -> Html:
    """List what is down, with what to do: the reason somebody opened this page."""
    items = [
        tag(
            "li",
            tag("strong", problem.subject),
            " ",
            problem.reason,
            tag("span", f"→ {problem.remedy}", class_="remedy") if problem.remedy else "",
        )
        for problem in problems(report)
    ]
    return tag("section", tag("h2", "Needs attention"), tag("ul", *items), class_="notice bad") if items else Html("")


def _figures(report: StatusReport) -> Html:
    waiting = max((destination.waiting for destination in report.destinations), default=0)
    letters = sum(one.dead_letters for one in report.destinations)
    letters += sum(one.undecodable_letters for one in report.accounts)
    store = report.store
    backlog = f"{texts.size(store.backlog_bytes)} of {texts.size(store.backlog_limit_bytes)}"
    return tag(
        "dl",
        _figure("Rows read", texts.count(sum(one.received for acct in report.accounts for one in acct.sources))),
        _figure("New", texts.count(sum(one.new for acct in report.accounts for one in acct.sources))),
        _figure("Waiting", texts.count(waiting)),
        _figure("Dead letters", texts.count(letters)),
        _figure("Backlog", backlog),
        _figure("Store", texts.size(store.bytes)),
        class_="figures",
    )


def _account(account: AccountStatus, now: datetime) -> Html:
    rows = [_source_row(source, now) for source in account.sources]
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Source", "State", "Last success", "Lag", "New")))
    table = tag(
        "div",
        tag("table", tag("thead", head), tag("tbody", *rows)),
        class_="scroll sources",
        tabindex="0",
        role="region",
        aria_label=f"Sources of {account.name}",
    )
    facts = [
        _figure(f"Queue {_name(queue.type)}", f"{texts.count(queue.depth)}, oldest {texts.duration(queue.oldest_secs)}")
        for queue in account.queues
    ]
    facts += [_figure(f"Quota {_name(quota.endpoint)}", _quota(quota)) for quota in account.quota]
    if account.clock_skew_secs is not None and abs(account.clock_skew_secs) >= 2:
        facts.append(_figure("Clock skew", f"{account.clock_skew_secs:+.0f} s"))
    return _card(account.name, _state(account.up), table, tag("dl", *facts) if facts else "")


def _source_row(source: SourceStatus, now: datetime) -> Html:
    cells = (texts.ago(source.last_success_at, now), texts.duration(source.lag_secs), texts.count(source.new))
    return tag(
        "tr",
        tag("th", _name(source.name), scope="row"),
        tag("td", _state(source.up)),
        *(tag("td", cell) for cell in cells),
    )


def _quota(quota: QuotaStatus) -> str:
    text = f"{texts.count(quota.remaining)} of {texts.count(quota.limit)} left"
    return f"{text}, waits {texts.duration(quota.waiting_secs)}" if quota.waiting_secs else text


def _destination(destination: DestinationStatus, now: datetime) -> Html:
    facts = [
        _figure("Delivered", texts.count(destination.delivered)),
        _figure("Waiting", texts.count(destination.waiting)),
        _figure("Oldest", texts.duration(destination.oldest_secs)),
        _figure("Dead letters", texts.count(destination.dead_letters)),
    ]
    if destination.unacknowledged:
        facts.append(_figure("Unacknowledged batches", texts.count(destination.unacknowledged)))
    if destination.skipped:
        facts.append(_figure("Skipped", texts.count(destination.skipped)))
    skipped = ""
    if destination.skipped_ranges:
        skipped = tag("p", f"Skipped {texts.skipped(destination.skipped_ranges)}", class_="quiet")
    error: str = ""
    if destination.last_error:
        error = tag(
            "p", f"Last error {texts.ago(destination.last_error_at, now)}: {destination.last_error}", class_="quiet"
        )
    return _card(destination.name, _state(destination.up), tag("dl", *facts), skipped, error)


def _section(title: str, cards: list[Html]) -> Html:
    content = tag("div", *cards, class_="cards") if cards else tag("p", "none configured", class_="quiet")
    return tag("section", tag("h2", title), content)


def _card(title: str, *parts: str) -> Html:
    state, *rest = parts
    return tag("article", tag("h3", title, " ", state), *rest, class_="card")


def _figure(name: str, value: str) -> Html:
    return tag("div", tag("dt", name), tag("dd", value))


def _state(up: bool | None) -> Html:  # noqa: FBT001 - three-valued
    return _pill(texts.state(up), _TONES[up])


def _pill(text: str, tone: str) -> Html:
    return tag("span", text, class_=f"pill {tone}")


def _name(name: str) -> str:
    return _NAMES.get(name, name.replace("_", " "))
