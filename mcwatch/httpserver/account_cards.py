"""The accounts on the status page: a card for each of a few; of many a line each, those in trouble first."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from mcwatch.domain.status import (
    AccountStatus,
    CoverState,
    QueueStatus,
    QuotaStatus,
    SourceStatus,
    StatusReport,
    is_abandoned,
)
from mcwatch.httpserver import coverage_bar, texts
from mcwatch.httpserver.html import Html, join, tag
from mcwatch.httpserver.parts import ago, anchor, facts, figure, fold, meter, pill, plural, readable, state, trouble

TAKEN_OVER = "taken over, not tried yet"
_MOST_CARDS = 12
"""So many accounts are shown in full; of more each has a line, and a page of its own."""
_MOST_TROUBLED = 50
_MOST_NAMED_HOLES = 2
WELL, _UNTRIED = 5, 4
_LOW_QUOTA = 0.1


def section(report: StatusReport, only: str = "") -> Html:
    """Return the section of the accounts; ``only`` names one to show alone."""
    if only:
        return _alone(report, only)
    accounts = sorted(report.accounts, key=rank)
    if len(accounts) <= _MOST_CARDS:
        return _section(_cards(accounts, report.at) or tag("p", "none configured", class_="quiet"))
    troubled = [one for one in accounts if rank(one) < _UNTRIED]
    untried = [one for one in accounts if rank(one) == _UNTRIED]
    return _section(
        _open_rows(troubled[:_MOST_TROUBLED], report.at),
        _rows("accounts-troubled", "more in trouble", troubled[_MOST_TROUBLED:], report.at),
        _rows("accounts-untried", "not tried yet", untried, report.at),
        _rows("accounts-well", "well", accounts[len(troubled) + len(untried) :], report.at),
    )


def rank(account: AccountStatus) -> int:
    """Tell how urgent an account is.

    0 down or held by nobody, 1 impaired, 2 with holes, 3 short of rejected mail, 4 untried, 5 well.
    """
    if account.up is False or is_abandoned(account):
        return 0
    if account.reason or any(source.reason or source.up is False for source in account.sources):
        return 1
    found = {run.state for source in account.sources for run in coverage_bar.holes(source.coverage)}
    if found:
        return 3 if found == {CoverState.REJECTED_GAP} else 2
    return _UNTRIED if account.up is None else WELL


def is_taken_over(account: AccountStatus, source: SourceStatus | None = None) -> bool:
    """Tell whether an account, or a source of it, worked on another replica and was not tried by its holder yet."""
    up, sources = (account.up, account.sources) if source is None else (source.up, [source])
    return account.held and up is None and any(one.last_success_at for one in sources)


def _state(account: AccountStatus, source: SourceStatus | None = None) -> Html:
    if is_taken_over(account, source):
        return pill(TAKEN_OVER, "idle")
    return state(source.up if source else account.up)


def _alone(report: StatusReport, name: str) -> Html:
    back = tag("p", tag("a", "← All accounts", href="/", id="all-accounts"))
    found = [one for one in report.accounts if one.name == name]
    card = _cards(found, report.at) or tag("p", "No account has this name.", class_="quiet")
    return tag("div", _section(back, card), data_title=name)


def _section(*content: str) -> Html:
    return tag("section", tag("h2", "Accounts"), coverage_bar.legend(), *content, id="accounts")


def _cards(accounts: Sequence[AccountStatus], now: datetime) -> Html:
    return tag("div", *(_card(one, now) for one in accounts), class_="cards wide") if accounts else Html("")


def _open_rows(accounts: Sequence[AccountStatus], now: datetime) -> Html:
    if not accounts:
        return Html("")
    rows = [_row(one, now) for one in accounts]
    title = tag("h3", "In trouble, or with holes in the last 7 days")
    return tag("div", title, tag("ul", *rows, class_="rows"), class_="troubled")


def _rows(key: str, words: str, accounts: Sequence[AccountStatus], now: datetime) -> Html:
    if not accounts:
        return Html("")
    rows = [_row(one, now) for one in accounts]
    return fold(key, f"{plural(len(accounts), 'account')} {words}", tag("ul", *rows, class_="rows"))


def _row(account: AccountStatus, now: datetime) -> Html:
    bars = [coverage_bar.bar(source.coverage) for source in account.sources if source.coverage]
    depths = [queue.depth for queue in account.queues if queue.depth is not None]
    lags = [source.lag_secs for source in account.sources if source.lag_secs is not None]
    last = max((source.last_success_at for source in account.sources if source.last_success_at), default=None)
    key = anchor("account", account.name)
    return tag(
        "li",
        tag("a", account.name, href=f"/?account={quote(account.name, safe='')}", id=f"{key}-link"),
        _state(account),
        bars[0] if bars else tag("span", class_="bar"),
        tag("span", "read ", ago(last, now)),
        tag("span", f"behind {texts.duration(max(lags))}" if lags else ""),
        tag("span", f"{texts.count(sum(depths))} in queues" if depths else ""),
        tag("span", f"on {account.holder}", class_="holder") if account.holder else "",
        _unheld(account),
        *_why(account),
        id=key,
    )


def _why(account: AccountStatus) -> list[Html]:
    """Return what is wrong with an account in a line: what keeps it from working, else its newest holes."""
    reasons = [account.reason, *(source.reason for source in account.sources)]
    if any(reasons):
        return [tag("p", next(filter(None, reasons)), class_="note bad" if account.up is False else "note warn")]
    found = [run for source in account.sources for run in coverage_bar.holes(source.coverage)]
    if not found:
        return []
    named = coverage_bar.named(found, _MOST_NAMED_HOLES)
    return [tag("div", named, class_="note")]


def _card(account: AccountStatus, now: datetime) -> Html:
    tone = "bad" if account.up is False else "warn"
    notes = [figure("Held by", account.holder)] if account.holder else []
    if account.clock_skew_secs is not None and abs(account.clock_skew_secs) >= 2:
        notes.append(figure("Clock of the API", f"{account.clock_skew_secs:+.0f} s from ours"))
    if account.undecodable_letters:
        notes.append(figure("Unreadable rows kept", texts.count(account.undecodable_letters)))
    key = anchor("account", account.name)
    return tag(
        "article",
        tag("h3", tag("span", account.name), *_marks(account), _unheld(account), _state(account)),
        trouble(account.reason, account.remedy, tone),
        *(_source(one, account, now) for one in account.sources),
        facts(*(_quota(one) for one in account.quota), *notes),
        class_="card",
        id=key,
    )


def _unheld(account: AccountStatus) -> Html:
    """Return since when nobody holds an account; nothing where somebody does."""
    if account.held:
        return Html("")
    words = f"held by nobody for {texts.duration(account.unheld_secs)}"
    return pill(words, "bad" if is_abandoned(account) else "idle")


def _marks(account: AccountStatus) -> list[Html]:
    """Return a word for the worst hole, beside whether the account works."""
    states = [run.state for source in account.sources for run in coverage_bar.holes(source.coverage)]
    words = {CoverState.GAP: "has a gap", CoverState.MISSING: "behind", CoverState.INCOMPLETE: "incomplete"}
    return [next((pill(text, "warn") for one, text in words.items() if one in states), Html(""))]


def _source(source: SourceStatus, account: AccountStatus, now: datetime) -> Html:
    known = source.reason == account.reason  # said above already
    tone = "bad" if source.up is False else "warn"
    numbers = [figure("Last success", ago(source.last_success_at, now))]
    if source.lag_secs is not None:
        numbers.append(figure("Behind", texts.duration(source.lag_secs)))
    numbers.append(figure("New rows", texts.count(source.new)))
    if source.undecodable:
        numbers.append(figure("Unreadable", texts.count(source.undecodable)))
    if source.name == "processing_queue":
        numbers += [_queue(queue) for queue in account.queues]
    key = f"{anchor('account', account.name)}-{source.name}"
    return tag(
        "div",
        tag("h4", readable(source.name), " ", _state(account, source)),
        Html("") if known else trouble(source.reason, source.remedy, tone),
        coverage_bar.panel(source.coverage, f"{key}-coverage", "Coverage") if source.coverage else "",
        facts(*numbers),
        _last_error(source, now),
        class_="source",
    )


def _queue(queue: QueueStatus) -> Html:
    text = "not seen yet" if queue.depth is None else texts.count(queue.depth)
    if queue.oldest_secs is not None and queue.depth:
        text += f", oldest for {texts.duration(queue.oldest_secs)}"
    return figure(f"In queue: {readable(queue.type).lower()}", text)


def _last_error(source: SourceStatus, now: datetime) -> Html:
    if not source.last_error or source.last_error == source.reason:
        return Html("")
    return tag("p", "Last error ", ago(source.last_error_at, now), f": {source.last_error}", class_="quiet")


def _quota(quota: QuotaStatus) -> Html:
    text = f"{texts.count(quota.remaining)} of {texts.count(quota.limit)} left"
    if quota.waiting_secs:
        text += f", waits {texts.duration(quota.waiting_secs)}"
    parts: list[str] = [text]
    if quota.limit and quota.remaining is not None:
        share = quota.remaining / quota.limit
        parts.append(meter(share, "warn" if share < _LOW_QUOTA else "plain"))
    return figure(f"Quota, {readable(quota.endpoint).lower()}", join(*parts))
