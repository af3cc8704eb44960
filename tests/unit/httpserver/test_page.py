"""The status page as HTML."""

from pathlib import Path

import msgspec
import pytest

from mcwatch.domain.status import AccountStatus, StatusReport
from mcwatch.httpserver import page
from tests.browser import scenes
from tests.unit.httpserver.parsed import Parsed
from tests.unit.httpserver.reports import quiet_report, troubled_report

STATIC = Path(page.__file__).with_name("static")


def test_what_needs_attention_comes_with_its_remedy() -> None:
    """Everything that is down is said in words, with what to do."""
    text = Parsed(page.document(troubled_report())).text

    for words in ("the disk is full", "→ make room", "the credentials were refused", "→ renew the secret",
                  "→ look at the indexer", "the API answered 503", "Polling pauses", "reached its limit"):  # fmt: skip
        assert words in text


def test_figures_are_shown() -> None:
    """Lag, queue, quota, backlog, skew and dead letters are on the page."""
    text = Parsed(page.fragment(troubled_report())).text

    for words in (
        "3 min ago",
        "17, oldest for 1 min",
        "12 of 300 left, waits 4 s",
        "-42 s",
        "2 h 1 min",
        "2.9 MiB of 2.0 GiB",
        "Skipped 2 events recorded",
    ):
        assert words in text


def test_a_quiet_daemon_has_nothing_to_attend_to() -> None:
    """Without accounts and destinations the page still says that all is well."""
    text = Parsed(page.document(quiet_report())).text

    assert "All is well" in text
    assert "attention" not in text
    assert "none configured" in text


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</main></body>", "&lt;b&gt;", "\u202e"]
)
def test_hostile_names_and_errors_stay_text(hostile: str) -> None:
    """They add no element and no attribute, and can be read as they are."""
    tame = Parsed(page.document(troubled_report("acme", "error")))
    parsed = Parsed(page.document(troubled_report(hostile, hostile)))

    assert parsed.shape == tame.shape
    assert hostile in parsed.text


def test_nothing_comes_from_elsewhere_or_inline() -> None:
    """Scripts and styles are files of our own; no inline script, style or handler needs a hole in the policy."""
    parsed = Parsed(page.document(troubled_report()))

    sources = [
        values.get("src") or values.get("href") for _, values in parsed.elements if {"src", "href"} & set(values)
    ]
    assert all(source and (source.startswith(("/", "data:image/svg+xml,"))) for source in sources)
    assert [tag for tag, values in parsed.elements if tag == "style" or "style" in values] == []
    assert [name for _, values in parsed.elements for name in values if name.startswith("on")] == []
    assert "http" not in (STATIC / "page.css").read_text() + (STATIC / "page.js").read_text()


def test_the_page_can_be_used_without_eyes_or_mouse() -> None:
    """Language, one main heading, words for every picture, an alert region."""
    parsed = Parsed(page.document(troubled_report()))

    assert ("html", {"lang": "en"}) in parsed.elements
    assert [tag for tag, _ in parsed.elements if tag == "h1"] == ["h1"]
    assert all(values.get("aria-label") for _, values in parsed.elements if values.get("role") == "img")
    assert any(values.get("role") == "alert" for _, values in parsed.elements)


def test_the_report_survives_json() -> None:
    """What /status sends is what `mcwatch status` reads."""
    for report in (troubled_report(), scenes.broken()):
        assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report


def test_a_daemon_that_has_just_started_says_so() -> None:
    """What was not tried yet is neither well nor ill."""
    text = Parsed(page.document(scenes.starting())).text

    assert "Starting: 2 accounts not tried yet" in text
    assert "nothing was read yet" in text


def test_accounts_taken_over_are_not_said_to_start() -> None:
    """They were polled a moment ago, by another replica."""
    taken, other = scenes.well().accounts
    taken = msgspec.structs.replace(taken, up=None)
    text = Parsed(page.document(msgspec.structs.replace(scenes.well(), accounts=[taken, other]))).text

    assert "1 account taken over, not tried yet" in text
    assert "2 accounts: 1 up, 1 taken over, not tried yet" in text
    assert "Starting" not in text


def test_one_cause_is_one_thing_however_many_accounts_it_stops() -> None:
    """The accounts are named, up to a few."""
    text = Parsed(page.fragment(scenes.fleet(1000))).text

    assert "1 thing needs attention" in text
    assert (
        "Account tenant-0003, account tenant-0103, account tenant-0203, account tenant-0303, account tenant-0403"
        in text
    )
    assert "and 5 more" in text


def test_many_things_are_folded_after_the_first() -> None:
    """The page stays short when everything fails in a way of its own."""
    accounts = [AccountStatus(name=f"a{number}", up=False, reason=f"reason {number}") for number in range(30)]
    report = msgspec.structs.replace(quiet_report(), healthy=False, accounts=accounts)
    parsed = Parsed(page.fragment(report))

    assert "30 things need attention" in parsed.text
    assert "22 more" in parsed.text


def test_a_configuration_file_that_could_not_be_loaded_is_told() -> None:
    """With the reason, and that the one before is at work."""
    text = Parsed(page.fragment(scenes.broken())).text

    assert "not reloaded" in text
    assert "did you mean token?" in text
    assert "the one loaded before stays in use" in text


def test_replicas_are_shown_where_there_are_some() -> None:
    """Who lives, who is lost, who holds what, and what needs attention about it."""
    parsed = Parsed(page.document(scenes.replicas()))

    for words in ("replica mcwatch-0 · version", "2 replicas, 1 lost", "mcwatch-0 (this one)", "lost 5 min ago",
                  "held by nobody for 1 min", "no replica holds it", "Replica mcwatch-1", "This replica"):  # fmt: skip
        assert words in parsed.text
    assert parsed.text.count("Held by") == 2
    assert [values.get("scope") for tag, values in parsed.elements if tag == "th"][-3:] == ["row"] * 3


def test_one_process_says_nothing_of_replicas() -> None:
    """Nobody needs the word who has but one."""
    text = Parsed(page.document(scenes.usual())).text

    assert not [word for word in ("eplica", "Held by", "held by") if word in text]


def test_of_many_accounts_each_line_names_the_holder() -> None:
    """As the cards do."""
    accounts = [msgspec.structs.replace(one, holder="mcwatch-0") for one in scenes.fleet(30).accounts]
    report = msgspec.structs.replace(scenes.replicas(), accounts=accounts)

    assert Parsed(page.fragment(report)).text.count("on mcwatch-0") == 30


def test_without_figures_there_is_still_a_page() -> None:
    """It says why, escaped, and what to do."""
    parsed = Parsed(page.document_without_report("<b>the store is away", "wait"))

    assert "<b>the store is away" in parsed.text
    assert "→ wait" in parsed.text
    assert ("script", {"src": "/static/page.js", "defer": None}) in parsed.elements


@pytest.mark.parametrize("report", [scenes.usual(), scenes.broken(), scenes.starting(), scenes.fleet(60)])
def test_ids_are_unique(report: StatusReport) -> None:
    """The script finds elements by them."""
    ids = [values["id"] for _, values in Parsed(page.document(report)).elements if "id" in values]

    assert sorted(set(ids), key=str) == sorted(ids, key=str)


def test_what_takes_the_focus_has_an_id() -> None:
    """It is given the focus again when a refresh moves it to another place."""
    elements = Parsed(page.fragment(scenes.fleet(60))).elements

    assert all(values.get("id") for tag, values in elements if tag in {"a", "summary", "details"})


def test_a_large_fleet_is_asked_for_less_often() -> None:
    """Fifteen seconds beyond 200 accounts, else five."""
    few, many = page.document(scenes.fleet(200)), page.document(scenes.fleet(201))

    assert 'data-period-secs="5"' in few
    assert 'data-period-secs="15"' in many
