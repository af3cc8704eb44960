"""The small parts that all of the status page is made of."""

from datetime import datetime
from urllib.parse import quote

from mcwatch.httpserver import texts
from mcwatch.httpserver.html import Html, join, tag

_NAMES = {
    "message_finder": "Message finder",
    "processing_queue": "Processing queue",
    "processing": "Processing",
    "bulk_processing": "Bulk",
    "*": "whole account",
}
_TONES = {None: "idle", True: "good", False: "bad"}


def anchor(kind: str, name: str) -> str:
    """Return an id for an element about something named; the same at every refresh."""
    return f"{kind}-{quote(name, safe='')}"


def readable(name: str) -> str:
    """Return the name of a feed, queue or endpoint for people."""
    return _NAMES.get(name, name.replace("_", " ").capitalize())


def plural(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun."""
    return f"{texts.count(count)} {one if count == 1 else many or f'{one}s'}"


def pill(text: str, tone: str) -> Html:
    """Return a short word on a coloured ground; the word says it all."""
    return tag("span", text, class_=f"pill {tone}")


def state(up: bool | None) -> Html:  # noqa: FBT001 - three-valued
    """Return whether something works."""
    return pill(texts.state(up), _TONES[up])


def figure(name: str, *value: str) -> Html:
    """Return a name and its value, for a ``dl``."""
    return tag("div", tag("dt", name), tag("dd", *value))


def facts(*figures: Html) -> Html:
    """Return figures side by side."""
    return tag("dl", *figures, class_="facts") if figures else Html("")


def moment(at: datetime, text: str, **attributes: str) -> Html:
    """Return a moment in the words given, the exact one for programs and pointers."""
    return tag("time", text, datetime=at.isoformat(), title=at.strftime("%Y-%m-%d %H:%M:%S UTC"), **attributes)


def ago(at: datetime | None, now: datetime) -> Html:
    """Return how long ago something was."""
    return join(texts.ago(None, now)) if at is None else moment(at, texts.ago(at, now))


def trouble(reason: str, remedy: str, tone: str) -> Html:
    """Return why something does not work and what to do; nothing without a reason."""
    if not reason:
        return Html("")
    todo = tag("p", tag("strong", "What to do: "), remedy, class_="remedy") if remedy else ""
    return tag("div", tag("p", reason), todo, class_=f"why {tone}")


def meter(share: float, tone: str) -> Html:
    """Return a thin bar filled to a share of 0 to 1. It decorates figures that stand beside it as text."""
    width = f"{min(max(share, 0.0), 1.0) * 100:.1f}%"
    return tag(
        "svg",
        tag("rect", width="100%", height="100%", class_="track"),
        tag("rect", width=width, height="100%", class_=f"fill {tone}"),
        class_="meter",
        aria_hidden="true",
    )


def fold(key: str, summary: str, *content: str) -> Html:
    """Return what is shown only on request; ``key`` is its id, so that it stays open over refreshes."""
    return tag("details", tag("summary", summary, id=f"{key}-summary"), *content, id=key)
