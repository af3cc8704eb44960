"""The last 7 days of a finder as a bar, its holes in words, and a table of all of it.

No state is told by colour alone: each has a pattern of its own, and every hole is named with its times.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from mcwatch.domain.status import CoverageStatus, CoverRun, CoverState
from mcwatch.httpserver import texts
from mcwatch.httpserver.html import Html, join, tag
from mcwatch.httpserver.parts import fold, moment, plural

_NAMES = {
    CoverState.GAP: "Gap",
    CoverState.MISSING: "Not read yet",
    CoverState.INCOMPLETE: "Incomplete",
    CoverState.REJECTED_GAP: "Rejected mail missing",
    CoverState.COVERED: "Read",
    CoverState.BEFORE: "Before the start",
}
_MEANINGS = {
    CoverState.GAP: "Was never read and has left Mimecast's history. It cannot be brought back.",
    CoverState.MISSING: "Will be read by itself, oldest first. Nothing is lost while it lies within 28 days.",
    CoverState.INCOMPLETE: "More mail in one second than the API shows. mcwatch verify lists what is missing.",
    CoverState.REJECTED_GAP: "Read, but more than 7 days late: rejected and deferred mail had gone by then.",
    CoverState.COVERED: "Read completely.",
    CoverState.BEFORE: "Earlier than initial_look_back reached; nothing was to be read.",
}
_ROUTINE = timedelta(minutes=15)
"""A newest stretch this short that is yet to be read is what the next polls are for, not a hole."""
_SHORT = timedelta(minutes=10)
_LEAST_WIDTH = 0.7  # percent of the bar: about 2 pixels on a phone
_LAST_LABEL, _LAST_NARROW_LABEL = 93, 86  # percent: a day's name further right has no room, on a phone
_MOST_LISTED = 4


def holes(coverage: CoverageStatus | None) -> list[CoverRun]:
    """Return what should have been read completely and was not, newest first."""
    if coverage is None:
        return []
    fine = {CoverState.COVERED, CoverState.BEFORE}
    found = [run for run in coverage.runs if run.state not in fine and not _is_routine(run, coverage.end)]
    return found[::-1]


def bar(coverage: CoverageStatus) -> Html:
    """Return the bar alone."""
    fine = [run for run in coverage.runs if run.state in {CoverState.COVERED, CoverState.BEFORE}]
    # What is wrong is drawn last, so that its least width is not covered by what is well.
    return tag(
        "svg",
        *(_rects(run, coverage) for run in [*fine, *reversed(holes(coverage))]),
        class_="bar",
        role="img",
        aria_label=in_words(coverage),
    )


def panel(coverage: CoverageStatus, key: str, title: str) -> Html:
    """Return the bar with its days, its holes in words and, folded, the table; ``key`` begins the ids."""
    found = holes(coverage)
    return tag(
        "div",
        tag("p", tag("span", title, class_="label"), tag("span", _verdict(coverage, found), class_="quiet")),
        bar(coverage),
        _days(coverage),
        named(found),
        fold(key, "Last 7 days as a table", _table(coverage)),
        class_="coverage",
    )


def legend() -> Html:
    """Return the key to the patterns, and on request what each state means."""
    keys = [tag("li", _swatch(state), _NAMES[state]) for state in reversed(CoverState)]
    meanings = [
        tag("div", tag("dt", _swatch(state), _NAMES[state]), tag("dd", _MEANINGS[state]))
        for state in reversed(CoverState)
    ]
    return tag(
        "div",
        tag("ul", *keys, aria_label="Key to the coverage bars"),
        fold("legend", "What these mean", tag("dl", *meanings, class_="meanings")),
        class_="legend",
    )


def patterns() -> Html:
    """Return the patterns that bars are filled with; once per page, outside what is refreshed."""
    shapes = {
        CoverState.GAP: ('<path d="M-2 2L2 -2M0 8L8 0M6 10L10 6"/>', 8),
        CoverState.MISSING: ('<circle cx="3" cy="3" r="1.2"/>', 6),
        CoverState.INCOMPLETE: ('<path d="M0 0L6 6M6 0L0 6"/>', 6),
        CoverState.REJECTED_GAP: ('<path d="M0 2.5H8"/>', 5),
        CoverState.BEFORE: ('<circle cx="4" cy="4" r=".8"/>', 8),
    }
    made = "".join(
        f'<pattern id="pattern-{state}" class="{state}" width="{size}" height="{size}" patternUnits="userSpaceOnUse">'
        f"{shape}</pattern>"
        for state, (shape, size) in shapes.items()
    )
    return Html(f'<svg class="patterns" width="0" height="0" aria-hidden="true"><defs>{made}</defs></svg>')


def in_words(coverage: CoverageStatus) -> str:
    """Return one sentence that says what the bar shows."""
    lengths = dict.fromkeys(CoverState, 0.0)
    for run in coverage.runs:
        lengths[run.state] += _secs(run)
    parts = [f"{_NAMES[state].lower()} {texts.duration(secs)}" for state, secs in lengths.items() if secs]
    return f"Last 7 days: {', '.join(reversed(parts))}"


def _is_routine(run: CoverRun, end: datetime) -> bool:
    return run.state is CoverState.MISSING and run.end >= end and run.end - run.start < _ROUTINE


def _verdict(coverage: CoverageStatus, found: list[CoverRun]) -> str:
    if not found:
        read = next((run for run in coverage.runs if run.state is CoverState.COVERED), None)
        if read is None:
            return "nothing was read yet"
        since = " ".join(_to_the_minute(read.start))
        return f"everything since {since} UTC was read" if read.start > coverage.start else "everything was read"
    return f"{plural(len(found), 'hole')}, {texts.duration(sum(map(_secs, found)))} in all"


def _secs(run: CoverRun) -> float:
    return (run.end - run.start).total_seconds()


def _rects(run: CoverRun, coverage: CoverageStatus) -> Html:
    whole = coverage.end - coverage.start
    left, width = (run.start - coverage.start) / whole * 100, (run.end - run.start) / whole * 100
    if run.state not in {CoverState.COVERED, CoverState.BEFORE}:
        width = max(width, _LEAST_WIDTH)
        left = min(left, 100 - width)
    return _filled(run.state, {"x": f"{left:.2f}%", "width": f"{width:.2f}%"})


def _filled(state: CoverState, place: dict[str, str]) -> Html:
    ground = tag("rect", class_=str(state), height="100%", **place)
    if state is CoverState.COVERED:
        return ground
    return join(ground, tag("rect", height="100%", fill=f"url(#pattern-{state})", **place))


def _swatch(state: CoverState) -> Html:
    return tag("svg", _filled(state, {"width": "100%"}), class_="swatch", aria_hidden="true")


def _days(coverage: CoverageStatus) -> Html:
    whole = coverage.end - coverage.start
    marks: list[Html] = []
    for day in _midnights(coverage):
        share = (day - coverage.start) / whole * 100
        x = f"{share:.2f}%"
        marks.append(tag("line", x1=x, x2=x, y1="0", y2="5"))
        if share < _LAST_LABEL:
            late = {"class_": "late"} if share > _LAST_NARROW_LABEL else {}
            marks.append(tag("text", f"{day:%a} {day.day}", x=x, y="16", dx="3", **late))
    return tag("svg", *marks, class_="days", aria_hidden="true")


def _midnights(coverage: CoverageStatus) -> Iterator[datetime]:
    day = coverage.start.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    while day < coverage.end:
        yield day
        day += timedelta(days=1)


def named(found: Sequence[CoverRun], most: int = _MOST_LISTED) -> Html:
    """Return the first of some holes in words, and how many more there are."""
    items = [
        tag("li", _swatch(run.state), tag("span", tag("strong", _NAMES[run.state]), " ", _range(run)))
        for run in found[:most]
    ]
    if len(found) > most:
        items.append(tag("li", f"and {plural(len(found) - most, 'older one')}", class_="quiet"))
    return tag("ul", *items, class_="holes") if items else Html("")


def _range(run: CoverRun, *, exact: bool = False) -> Html:
    sameday = run.start.date() == run.end.date()
    written = _exact if exact else _to_the_second if run.end - run.start < _SHORT else _to_the_minute
    day, clock = written(run.end)
    return join(
        moment(run.start, " ".join(written(run.start))),
        " to ",
        moment(run.end, clock if sameday else f"{day} {clock}"),
        f" UTC ({texts.duration(_secs(run))})",
    )


def _exact(at: datetime) -> tuple[str, str]:
    return f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}"


def _to_the_second(at: datetime) -> tuple[str, str]:
    return f"{at.day} {at:%b}", f"{at:%H:%M:%S}"


def _to_the_minute(at: datetime) -> tuple[str, str]:
    return f"{at.day} {at:%b}", f"{at:%H:%M}"


def _table(coverage: CoverageStatus) -> Html:
    rows = [
        tag("tr", tag("td", _swatch(run.state), _NAMES[run.state]), tag("td", _range(run, exact=True)))
        for run in reversed(coverage.runs)
    ]
    coarse = f" In steps of {texts.duration(coverage.cell_secs)}, each as bad as its worst second."
    head = tag("tr", tag("th", "State", scope="col"), tag("th", "From and to", scope="col"))
    return tag(
        "table",
        tag("caption", f"Newest first.{coarse if coverage.cell_secs > 1 else ''}"),
        tag("thead", head),
        tag("tbody", *rows),
    )
