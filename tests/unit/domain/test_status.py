"""What a status report says needs attention."""

from msgspec.structs import replace

from mcwatch.domain.status import AccountStatus, Problem, SourceStatus, StatusReport, problems
from tests.browser import scenes
from tests.unit.httpserver.reports import quiet_report, troubled_report


def test_everything_down_is_listed_with_its_remedy() -> None:
    """The store comes first, what is well or untried is left out; what was refused waits for somebody to look at it."""
    assert problems(troubled_report()) == [
        Problem("store", "the disk is full", "make room"),
        Problem("polling pauses", "backlog"),
        Problem("account acme", "the credentials were refused", "renew the secret"),
        Problem("source acme message_finder", "the API answered 503", "wait"),
        Problem(
            "unreadable rows of acme",
            "3 rows of the API could not be read and are kept",
            "mcwatch dead-letters list shows them; please report what they look like, then discard them",
        ),
        Problem("destination splunk", "the API answered 503", "look at the indexer"),
        Problem(
            "dead letters of splunk",
            "5 events were refused for good and are kept",
            "mcwatch dead-letters list --destination splunk says why; then retry or discard them",
        ),
    ]


def test_a_source_does_not_repeat_its_account() -> None:
    """One cause is one problem."""
    report = troubled_report(error="the credentials were refused")

    assert "source acme message_finder" not in [one.subject for one in problems(report)]


def test_a_source_down_alone_is_listed() -> None:
    """The account that works is not."""
    source = SourceStatus(name="message_finder", up=False, reason="refused")
    account = AccountStatus(name="acme", up=True, sources=[source])
    assert [one.subject for one in problems(_with(account))] == ["source acme message_finder"]


def test_what_works_but_not_well_is_listed() -> None:
    """A reason on a part that is up is a problem too."""
    source = SourceStatus(name="message_finder", up=True, reason="ids change", remedy="identity: content")
    account = AccountStatus(name="acme", up=True, reason="the quota is too small", sources=[source])
    assert [(one.subject, one.reason) for one in problems(_with(account))] == [
        ("account acme", "the quota is too small"),
        ("source acme message_finder", "ids change"),
    ]


def test_an_account_held_by_nobody_is_listed_after_a_minute() -> None:
    """A hand-over takes less; and where no process runs at all, that is said instead."""
    account = AccountStatus(name="acme", held=False, unheld_secs=61.0)
    assert [one.subject for one in problems(_with(account))] == ["account acme"]
    assert problems(_with(replace(account, unheld_secs=60.0))) == []
    assert problems(replace(_with(account), live=False)) == []


def test_a_replica_about_which_something_is_known_is_listed() -> None:
    """One that lives and works as it should, and one that is lost, are not."""
    assert [one.subject for one in problems(scenes.replicas())] == ["replica mcwatch-1", "account acme-asia"]


def test_nothing_wrong_is_an_empty_list() -> None:
    """A daemon that has just started has no problem."""
    assert problems(quiet_report()) == []


def _with(account: AccountStatus) -> StatusReport:
    return replace(quiet_report(), accounts=[account])
