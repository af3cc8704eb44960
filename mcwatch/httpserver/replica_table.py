"""The replicas that share the store, on the status page; nothing where one process has its store for itself."""

from mcwatch.domain.status import ReplicaStatus, StatusReport
from mcwatch.httpserver import texts
from mcwatch.httpserver.html import Html, tag
from mcwatch.httpserver.parts import anchor, moment, pill, trouble

_COLUMNS = ("Replica", "State", "Accounts", "Version", "Started")


def section(report: StatusReport) -> Html:
    """Return the section of the replicas, those that live first."""
    if not report.fleet:
        return Html("")
    head = tag("tr", *(tag("th", name, scope="col") for name in _COLUMNS))
    rows = [_row(one, report) for one in report.fleet]
    caption = tag("caption", "They share one store, and each account is held by one of them.")
    table = tag("table", caption, tag("thead", head), tag("tbody", *rows))
    return tag("section", tag("h2", "Replicas"), tag("div", table, class_="card replicas"), id="replicas")


def _row(one: ReplicaStatus, report: StatusReport) -> Html:
    this = " (this one)" if one.name == report.replica and one.live else ""
    return tag(
        "tr",
        tag("th", f"{one.name}{this}", trouble(one.reason, one.remedy, "warn"), scope="row"),
        tag("td", pill("live", "good") if one.live else pill(f"lost {texts.duration(one.silent_secs)} ago", "idle")),
        tag("td", texts.count(one.accounts), _besides(one)),
        tag("td", one.version),
        tag("td", moment(one.started_at, texts.ago(one.started_at, report.at))),
        id=anchor("replica", one.id),
    )


def _besides(one: ReplicaStatus) -> Html:
    """Return how many accounts more it holds, for their events only."""
    if not one.unconfigured:
        return Html("")
    return tag("span", f" +{texts.count(one.unconfigured)} not configured", class_="quiet")
