"""The destinations, the store and the configuration file on the status page."""

from datetime import datetime

from mcwatch.domain.status import ConfigStatus, DestinationStatus, StatusReport, StoreStatus
from mcwatch.httpserver import texts
from mcwatch.httpserver.attention import PAUSES
from mcwatch.httpserver.html import Html, tag
from mcwatch.httpserver.parts import ago, anchor, facts, figure, meter, pill, plural, state, trouble

_STORE_TONES = {"ok": "good", "full": "bad", "unavailable": "bad", "corrupt": "bad"}


def section(report: StatusReport) -> Html:
    """Return the section of the destinations, those that are down first."""
    ordered = sorted(report.destinations, key=lambda one: (one.up is not False, not one.reason, not one.dead_letters))
    cards = [_card(one, report.at) for one in ordered]
    content = tag("div", *cards, class_="cards") if cards else tag("p", "none configured", class_="quiet")
    return tag("section", tag("h2", "Destinations"), content, id="destinations")


def daemon_section(report: StatusReport) -> Html:
    """Return the section about the daemon itself: its store and its configuration file."""
    cards = [_store(report.store), *([_config(report.config, report.at)] if report.config else [])]
    return tag(
        "section",
        tag("h2", "This replica" if report.replica else "This daemon"),
        tag("div", *cards, class_="cards"),
        id="daemon",
    )


def _card(one: DestinationStatus, now: datetime) -> Html:
    settled = one.offered - one.waiting
    oldest = f", oldest for {texts.duration(one.oldest_secs)}" if one.waiting else ""
    numbers = [
        figure("Delivered", texts.count(one.delivered)),
        figure("Dead letters", texts.count(one.dead_letters)),
        figure("Waiting", texts.count(one.waiting), oldest),
    ]
    if one.unacknowledged:
        numbers.append(figure("Batches not acknowledged", texts.count(one.unacknowledged)))
    if one.skipped:
        numbers.append(figure("Skipped", texts.count(one.skipped)))
    return tag(
        "article",
        tag("h3", tag("span", one.name), state(one.up)),
        trouble(one.reason, one.remedy, "bad" if one.up is False else "warn"),
        tag(
            "p",
            tag("span", "Position", class_="label"),
            tag("span", f"{texts.count(settled)} of {plural(one.offered, 'event')}", class_="quiet"),
            class_="position",
        ),
        meter(settled / one.offered if one.offered else 0.0, "bad" if one.up is False else "good"),
        facts(*numbers),
        *_notes(one, now),
        class_="card",
        id=anchor("destination", one.name),
    )


def _notes(one: DestinationStatus, now: datetime) -> list[Html]:
    notes: list[Html] = []
    if one.skipped_ranges:
        notes.append(tag("p", f"Skipped {texts.skipped(one.skipped_ranges)}", class_="quiet"))
    if one.last_error and one.last_error != one.reason:
        notes.append(tag("p", "Last error ", ago(one.last_error_at, now), f": {one.last_error}", class_="quiet"))
    if one.dead_letters:
        command = tag("code", f"mcwatch dead-letters list --destination {one.name}")
        notes.append(tag("p", "See what was refused: ", command, class_="quiet"))
    return notes


def _store(store: StoreStatus) -> Html:
    share = store.backlog_bytes / store.backlog_limit_bytes if store.backlog_limit_bytes else 0.0
    pauses = [tag("p", f"Polling pauses: {PAUSES.get(reason, (reason, ''))[0]}.") for reason in store.paused]
    return tag(
        "article",
        tag("h3", tag("span", "Store"), pill(store.state, _STORE_TONES.get(store.state, "bad"))),
        trouble(store.reason, store.remedy, "bad"),
        tag("div", *pauses, class_="why warn") if pauses else "",
        tag(
            "p",
            tag("span", "Backlog", class_="label"),
            tag(
                "span", f"{texts.size(store.backlog_bytes)} of {texts.size(store.backlog_limit_bytes)}", class_="quiet"
            ),
            class_="position",
        ),
        meter(share, "warn" if share > 0.8 else "plain"),
        facts(figure("Size on disk", texts.size(store.bytes))),
        class_="card",
        id="store",
    )


def _config(config: ConfigStatus, now: datetime) -> Html:
    failed = config.failed_at is not None
    return tag(
        "article",
        tag(
            "h3",
            tag("span", "Configuration"),
            pill("not reloaded" if failed else "in use", "bad" if failed else "good"),
        ),
        trouble(
            f"The file was changed and cannot be used: {config.error}" if failed else "",
            "mend the file and reload it; until then the one loaded before stays in use",
            "bad",
        ),
        facts(
            figure("File", tag("code", config.file)),
            figure("Loaded", ago(config.loaded_at, now)),
            *([figure("Last attempt", ago(config.failed_at, now))] if failed else []),
        ),
        class_="card",
        id="configuration",
    )
