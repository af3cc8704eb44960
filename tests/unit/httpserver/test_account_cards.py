"""The accounts on the status page."""

import msgspec
import pytest

from mcwatch.domain.status import AccountStatus, CoverState, SourceStatus, StatusReport
from mcwatch.httpserver import account_cards
from tests.browser import scenes
from tests.unit.httpserver.parsed import Parsed


def _report(*accounts: AccountStatus) -> StatusReport:
    return msgspec.structs.replace(scenes.usual(), accounts=list(accounts))


@pytest.mark.parametrize(
    ("account", "rank"),
    [
        (AccountStatus(name="a", up=False), 0),
        (AccountStatus(name="a", held=False, unheld_secs=61.0), 0),
        (AccountStatus(name="a", held=False, unheld_secs=59.0), 4),
        (AccountStatus(name="a", up=True, reason="too many requests are needed"), 1),
        (AccountStatus(name="a", up=True, sources=[SourceStatus(name="s", up=False)]), 1),
        (AccountStatus(name="a", up=True, sources=[SourceStatus(name="s", up=True, reason="ids change")]), 1),
        (scenes.account("a", (CoverState.GAP, 9.0, 1.0), (CoverState.REJECTED_GAP, 5.0, 1.0)), 2),
        (scenes.account("a", (CoverState.REJECTED_GAP, 9.0, 1.0)), 3),
        (AccountStatus(name="a"), 4),
        (scenes.account("a"), 5),
    ],
)
def test_how_urgent_an_account_is(account: AccountStatus, rank: int) -> None:
    """Down comes first, then what is impaired, then holes; what was not tried comes before what is well."""
    assert account_cards.rank(account) == rank


def test_those_in_trouble_come_first() -> None:
    """The order of the configuration holds among equals."""
    down = msgspec.structs.replace(scenes.account("z-down"), up=False)
    html = account_cards.section(_report(scenes.account("b-well"), scenes.account("a-well"), down))

    assert html.index("z-down") < html.index("b-well") < html.index("a-well")


def test_of_many_accounts_only_those_in_trouble_are_open() -> None:
    """Each is a line; the others are folded and counted; a link leads to all about one."""
    parsed = Parsed(account_cards.section(scenes.fleet(200)))
    folds = [values["id"] for tag, values in parsed.elements if tag == "details"]

    assert folds == ["legend", "accounts-well"]
    assert "194 accounts well" in parsed.text
    assert ("a", {"href": "/?account=tenant-0003", "id": "account-tenant-0003-link"}) in parsed.elements
    assert "not allowed to track mail" in parsed.text
    assert "Gap" in parsed.text


def test_more_trouble_than_anybody_reads_is_folded() -> None:
    """The first fifty are open."""
    accounts = [AccountStatus(name=f"a{number}", up=False, reason="refused") for number in range(60)]

    assert "10 accounts more in trouble" in account_cards.section(_report(*accounts))


def test_accounts_not_tried_are_folded_apart() -> None:
    """At the start of a large fleet they are not called well."""
    accounts = [AccountStatus(name=f"a{number}") for number in range(20)]

    assert "20 accounts not tried yet" in account_cards.section(_report(*accounts))


def test_one_account_alone() -> None:
    """It is shown in full; a name that nobody has is said to be so."""
    html = account_cards.section(scenes.fleet(200), "tenant-0003")

    assert "What to do" in html
    assert "tenant-0004" not in html
    assert "No account has this name" in account_cards.section(scenes.fleet(20), "nobody")


def test_a_link_to_an_odd_name_leads_to_it() -> None:
    """Whatever stands in it is part of the query, not of the page."""
    accounts = [scenes.account(f'a"&<{number}') for number in range(13)]
    elements = Parsed(account_cards.section(_report(*accounts))).elements

    assert "/?account=a%22%26%3C0" in [values.get("href") for _, values in elements]


def test_what_the_account_says_its_sources_do_not_repeat() -> None:
    """One reason stands once in the card."""
    card = account_cards.section(_report(scenes.broken().accounts[-1]))

    assert card.count("refuses the credentials") == 1


def test_what_worked_on_another_replica_was_taken_over() -> None:
    """Its last success stands; what nobody holds was taken over by nobody."""
    sources = [msgspec.structs.replace(one, up=None) for one in scenes.account("a").sources]
    account = AccountStatus(name="a", sources=sources)
    text = Parsed(account_cards.section(_report(account))).text

    assert text.count("taken over, not tried yet") == 3
    assert "Last success 4 s ago" in text
    assert not account_cards.is_taken_over(msgspec.structs.replace(account, held=False))
    assert not account_cards.is_taken_over(AccountStatus(name="a", sources=[SourceStatus(name="message_finder")]))
