"""The top of the status page: is all well, what needs attention, the few figures that tell most."""

from collections.abc import Iterable, Sequence

from mcwatch.domain.status import AccountStatus, CoverageStatus, StatusReport
from mcwatch.httpserver import texts
from mcwatch.httpserver.account_cards import TAKEN_OVER, is_taken_over
from mcwatch.httpserver.attention import Attention, attention
from mcwatch.httpserver.coverage_bar import holes
from mcwatch.httpserver.html import Html, tag
from mcwatch.httpserver.parts import fold, moment, plural

_MOST_LISTED = 8
_SHAPES = {
    "good": '<path d="M7 12.5l3.2 3.2L17 9"/>',
    "bad": '<path d="M12 6.5v7M12 17v.4"/>',
    "idle": '<path d="M12 7v5.2l3 2"/>',
}
_LOGO = Html(
    '<svg class="logo" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8"></rect>'
    '<path d="M6 11.5l10 7 10-7M6 10h20v12.5H6z"></path></svg>'
)


def header(report: StatusReport | None = None) -> Html:
    """Return the first line: what this is, since when, and of when the figures are."""
    if report is None:
        return tag("header", _LOGO, tag("h1", "mcwatch"))
    of = f"replica {report.replica} · " if report.replica else ""
    about = f"{of}version {report.version} · running for {texts.duration(report.uptime_secs)} · figures of "
    at = moment(report.at, report.at.strftime("%Y-%m-%d %H:%M:%S UTC"), id="at")
    return tag("header", _LOGO, tag("h1", "mcwatch"), tag("p", about, at, class_="quiet"))


def headline(report: StatusReport) -> Html:
    """Return the verdict, announced when it changes, and below it what is wrong with what to do."""
    wrong = attention(report)
    tone, words = _verdict(report, len(wrong))
    verdict = tag(
        "div",
        Html(f'<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="11"/>{_SHAPES[tone]}</svg>'),
        tag("h2", words),
        role="status",
    )
    items = [_item(one) for one in wrong]
    more: str = ""
    if len(items) > _MOST_LISTED:
        rest = tag("ul", *items[_MOST_LISTED:])
        more = fold("attention-more", f"{len(items) - _MOST_LISTED} more", rest)
    listed = tag("ul", *items[:_MOST_LISTED]) if items else ""
    return tag("section", verdict, tag("p", _scope(report)), listed, more, class_=f"headline {tone}", data_title=words)


def figures(report: StatusReport) -> Html:
    """Return the figures over everything."""
    waiting = max(report.destinations, key=lambda one: one.waiting, default=None)
    queues = [queue for account in report.accounts for queue in account.queues if queue.depth is not None]
    sources = [source for account in report.accounts for source in account.sources]
    lags = [source.lag_secs for source in sources if source.lag_secs is not None]
    letters = sum(one.dead_letters for one in report.destinations)
    letters += sum(one.undecodable_letters for one in report.accounts)
    return tag(
        "dl",
        _tile("Behind", texts.duration(max(lags, default=None)), "oldest unread mail"),
        _holes_tile([source.coverage for source in sources if source.coverage]),
        _tile(
            "In queues",
            texts.count(sum(queue.depth or 0 for queue in queues)) if queues else "–",
            _oldest(queue.oldest_secs for queue in queues if queue.depth),
        ),
        _tile(
            "Waiting to be sent",
            texts.count(waiting.waiting if waiting else None),
            _oldest(one.oldest_secs for one in report.destinations if one.waiting),
        ),
        _tile("Dead letters", texts.count(letters), *(("to look at", "warn") if letters else ("none refused",))),
        _tile(
            "New rows",
            texts.count(sum(one.new for one in sources)),
            f"of {texts.count(sum(one.received for one in sources))} read",
        ),
        class_="figures",
    )


def _holes_tile(known: list[CoverageStatus]) -> Html:
    found = sum(len(holes(coverage)) for coverage in known)
    if found:
        return _tile("Holes in 7 days", texts.count(found), "see the accounts", "warn")
    return _tile("Holes in 7 days", "0" if known else "–", "all was read" if known else "nothing was read yet")


def _verdict(report: StatusReport, wrong: int) -> tuple[str, str]:
    if wrong:
        return "bad", f"{wrong} {'thing needs' if wrong == 1 else 'things need'} attention"
    states = [_state(account) for account in report.accounts]
    if untried := states.count(texts.state(None)):
        return "idle", f"Starting: {plural(untried, 'account')} {texts.state(None)}"
    if taken_over := states.count(TAKEN_OVER):
        return "idle", f"{plural(taken_over, 'account')} {TAKEN_OVER}"
    return ("good", "All is well") if report.healthy else ("bad", "Something needs attention")


def _scope(report: StatusReport) -> str:
    accounts = _counted([_state(one) for one in report.accounts], "account")
    words = f"{accounts} · {_counted([texts.state(one.up) for one in report.destinations], 'destination')}"
    return f"{words} · {replicas(report)}" if report.fleet else words


def replicas(report: StatusReport) -> str:
    """Say how many replicas there are, and how many of them are lost."""
    lost = sum(not one.live for one in report.fleet)
    return plural(len(report.fleet) - lost, "replica") + (f", {texts.count(lost)} lost" if lost else "")


def _state(account: AccountStatus) -> str:
    return TAKEN_OVER if is_taken_over(account) else texts.state(account.up)


def _counted(states: Sequence[str], noun: str) -> str:
    text = plural(len(states), noun)
    order = (*map(texts.state, (True, False)), TAKEN_OVER, texts.state(None))
    parts = [f"{texts.count(number)} {state}" for state in order if (number := states.count(state))]
    return f"{text}: {', '.join(parts)}" if parts else text


def _item(one: Attention) -> Html:
    named = one.named
    todo = tag("span", f"→ {one.remedy}", class_="remedy") if one.remedy else ""
    return tag("li", tag("strong", named[:1].upper() + named[1:]), " ", tag("span", one.reason), todo)


def _tile(name: str, value: str, note: str, tone: str = "") -> Html:
    return tag("div", tag("dt", name), tag("dd", value, class_=f"value {tone}"), tag("dd", note, class_="quiet"))


def _oldest(ages: Iterable[float | None]) -> str:
    oldest = max((age for age in ages if age is not None), default=None)
    return "nothing waits" if oldest is None else f"the oldest for {texts.duration(oldest)}"
