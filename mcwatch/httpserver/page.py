"""The status page: the report as HTML, complete without any script.

``fragment`` is what the script fetches again and again; ``document`` is the page around it.
"""

from mcwatch.domain.status import StatusReport
from mcwatch.httpserver import account_cards, coverage_bar, destination_cards, replica_table, summary
from mcwatch.httpserver.html import Html, join, tag

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' "
    "height='32' rx='8' fill='%231f57b8'/%3E%3Cpath d='M6 11.5l10 7 10-7M6 10h20v12.5H6z' fill='none' "
    "stroke='white' stroke-width='2.2'/%3E%3C/svg%3E"
)
_LARGE_FLEET = 200
"""Accounts beyond which the page is fetched less often."""
_PERIOD_SECS, _LARGE_PERIOD_SECS = 5, 15


def document(report: StatusReport, only: str = "") -> str:
    """Return the whole page; ``only`` names the one account to show."""
    period_secs = _LARGE_PERIOD_SECS if len(report.accounts) > _LARGE_FLEET else _PERIOD_SECS
    return _document(fragment(report, only), period_secs)


def document_without_report(error: str, remedy: str) -> str:
    """Return the page of a daemon that answers but cannot tell its figures now."""
    said = tag(
        "section",
        tag("div", tag("h2", "mcwatch runs, but cannot show its figures"), role="status"),
        tag("ul", tag("li", tag("span", error), tag("span", f"→ {remedy}", class_="remedy") if remedy else "")),
        tag("p", "This page asks again by itself."),
        class_="headline bad",
        data_title="no figures",
    )
    return _document(join(summary.header(), said), _PERIOD_SECS)


def fragment(report: StatusReport, only: str = "") -> Html:
    """Return the part that changes."""
    if only:
        return join(summary.header(report), account_cards.section(report, only))
    return join(
        summary.header(report),
        summary.headline(report),
        summary.figures(report),
        account_cards.section(report),
        destination_cards.section(report),
        replica_table.section(report),
        destination_cards.daemon_section(report),
    )


def _document(main: Html, period_secs: int) -> str:
    head = join(
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta name="color-scheme" content="light dark"><link rel="icon" href="{_ICON}">'),
        Html('<link rel="stylesheet" href="/static/page.css"><script src="/static/page.js" defer></script>'),
        Html(f'<noscript><meta http-equiv="refresh" content="{2 * period_secs}"></noscript>'),
        tag("title", "mcwatch"),
    )
    unreachable = tag("div", id="unreachable", role="alert", hidden="hidden")
    shown = tag("main", main, id="report", data_period_secs=str(period_secs))
    footer = tag(
        "footer",
        tag("a", "status as JSON", href="/status"),
        tag("a", "metrics", href="/metrics"),
        tag("a", "readiness", href="/readyz"),
    )
    body = join(coverage_bar.patterns(), unreachable, shown, footer)
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'
