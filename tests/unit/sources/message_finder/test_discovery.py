"""``domains: discover``: the list from the API, its changes, its oddities, and how the option reads."""

from collections.abc import MutableMapping, Sequence
from typing import Any

import msgspec
import pytest
from pydantic import Field, TypeAdapter, ValidationError
from structlog.testing import capture_logs

from mcwatch.domain.domains import DomainList, domains
from mcwatch.domain.errors import AuthError, FailureReason, MisconfiguredError, PermanentError, TransientError
from mcwatch.mimecast.client import MimecastClient
from mcwatch.option_types import Config
from mcwatch.settings.places import locate
from mcwatch.simulator import AccountConfig, Fault, SimulatorConfig
from mcwatch.simulator.config import OWN_DOMAINS, Shape
from mcwatch.sources.message_finder.discovery import (
    CURSOR,
    MOST_IDLE_PAGES,
    MOST_PAGES,
    MOST_ROWS,
    PAGE_SIZE,
    DomainsOption,
    discover,
    read_domains,
)
from tests.fakes.clock import START
from tests.unit.mimecast.api import OAUTH2 as API_2
from tests.unit.mimecast.api import Api, Reply, scripted
from tests.unit.sources.world import HMAC, OAUTH2, World, world

DAY_SECS = 86400.0
RIGHT = "Directories | Internal | Read"
Log = MutableMapping[str, Any]


def paged(size: int, **shape: Any) -> SimulatorConfig:  # noqa: ANN401 -- a shape's fields
    """Return a quiet simulator whose list of domains comes in pages."""
    return SimulatorConfig(mails_per_minute=0.0, history_secs=0.0, domains=Shape(page_cap=size, **shape))


async def listed(simulated: World, rows: Sequence[object], known: DomainList | None = None) -> DomainList:
    """Discover when the API lists these."""
    simulated.simulator.set_domains(None, rows)
    return await discover(simulated.client, known)


async def logged(client: MimecastClient, known: DomainList | None = None) -> tuple[DomainList, list[Log]]:
    """Discover and return what was logged by it as well."""
    with capture_logs() as entries:
        found = await discover(client, known)
    return found, [entry for entry in entries if entry["event"].startswith("domains_")]


def answer(*rows: object, **pagination: object) -> Reply:
    """Return an answer as scripted."""
    return Reply(body={"meta": {"status": 200, "pagination": pagination}, "data": list(rows), "fail": []})


def row(name: str) -> dict[str, object]:
    """Return a row as documented."""
    return {"id": name, "domain": name, "sendOnly": True, "local": False, "inboundType": "known"}


async def failure(client: MimecastClient) -> TransientError:
    """Return the error of an answer that is none."""
    with pytest.raises(TransientError) as caught:
        await discover(client, None)
    assert FailureReason.BAD_RESPONSE == caught.value.reason
    assert "under domains" in caught.value.remedy
    return caught.value


@pytest.mark.parametrize("auth", [OAUTH2, HMAC], ids=["oauth2", "hmac"])
async def test_the_first_discovery(auth: dict[str, str]) -> None:
    """One call lists the account's domains; all of them are told as added, by the API's clock."""
    async with world(auth=auth, clock_ahead_secs=7 * DAY_SECS) as simulated:
        await simulated.client.prepare()
        if auth is HMAC:
            await discover(simulated.client, None)
        found, logs = await logged(simulated.client)
    assert sorted(OWN_DOMAINS) == domains(found)
    assert found.refreshed_at is not None
    assert abs((found.refreshed_at - START).total_seconds()) <= 2
    assert [
        {
            "event": "domains_changed",
            "log_level": "info",
            "account": "acme",
            "added": 3,
            "removed": 0,
            "added_names": sorted(OWN_DOMAINS),
            "removed_names": [],
        }
    ] == logs


async def test_nothing_is_logged_without_a_change() -> None:
    """An answer like the one before only moves the times."""
    async with world() as simulated:
        first = await discover(simulated.client, None)
        simulated.clock.advance(DAY_SECS)
        second, logs = await logged(simulated.client, first)
    assert [] == logs
    assert domains(first) == domains(second)
    assert first != second


async def test_a_domain_comes_and_goes() -> None:
    """An addition is told at once, a removal at the second daily answer without the domain."""
    async with world() as simulated:
        known = await listed(simulated, ["a.example"])
        simulated.simulator.set_domains(None, ["a.example", "B.example."])
        known, (added,) = await logged(simulated.client, known)
        assert (["b.example"], []) == (added["added_names"], added["removed_names"])
        simulated.simulator.set_domains(None, ["a.example"])
        for hours in (24, 23):
            simulated.clock.advance(hours * 3600.0)
            known, nothing = await logged(simulated.client, known)
            assert ([], ["a.example", "b.example"]) == (nothing, domains(known))
        simulated.clock.advance(3600.0)
        known, (gone,) = await logged(simulated.client, known)
    assert (0, 1, ["b.example"]) == (gone["added"], gone["removed"], gone["removed_names"])
    assert ["a.example"] == domains(known)


async def test_an_odd_answer_drops_nothing() -> None:
    """A domain absent from one daily answer stays, even after an outage of a week."""
    async with world() as simulated:
        known = await listed(simulated, ["a.example", "b.example"])
        simulated.clock.advance(7 * DAY_SECS)
        known = await listed(simulated, ["a.example"], known)
        simulated.clock.advance(DAY_SECS)
        known = await listed(simulated, ["a.example", "b.example"], known)
    assert (["a.example", "b.example"], {}) == (domains(known), known.missing_since)


@pytest.mark.parametrize("rows", [[], [None, 7, "", {"domain": "@"}]], ids=["no rows", "no names"])
async def test_an_answer_without_domains_fails(rows: list[object]) -> None:
    """An answer that names no domain is a failed poll, whose remedy names the right and the list by hand."""
    async with world() as simulated:
        simulated.simulator.set_domains(None, rows)
        error = await failure(simulated.client)
    assert "internal_domains: the answer names no domain" == str(error)
    assert RIGHT in error.remedy


@pytest.mark.parametrize("fault", [True, False], ids=["role", "product"])
async def test_a_missing_right(*, fault: bool) -> None:
    """A forbidden call stays an AuthError; its remedy names the right and the list by hand."""
    products = frozenset({"queue", "finder"} | ({"domains"} if fault else set()))
    config = SimulatorConfig(accounts=(AccountConfig(products=products),), mails_per_minute=0.0)
    async with world(config) as simulated:
        if fault:
            simulated.simulator.script(Fault("forbidden", endpoint="domains", code="err_xdk_operation_forbidden"))
        with pytest.raises(AuthError) as caught:
            await discover(simulated.client, None)
    assert FailureReason.AUTH == caught.value.reason
    assert RIGHT in caught.value.remedy
    assert "list your own domains by hand under domains" in caught.value.remedy
    assert "internal_domains" in str(caught.value)


async def test_bad_keys_are_not_blamed_on_a_right() -> None:
    """Other refusals of the credentials keep the remedy they have."""
    async with world(auth={**OAUTH2, "client_secret": "wrong"}) as simulated:
        with pytest.raises(AuthError) as caught:
            await discover(simulated.client, None)
    assert "check client_id and client_secret" == caught.value.remedy


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        (404, MisconfiguredError, "check base_url or region, or list your own domains by hand under domains"),
        (400, PermanentError, "list your own domains by hand under domains"),
    ],
)
async def test_an_endpoint_that_is_not_there(status: int, kind: type[PermanentError], remedy: str) -> None:
    """Where the API cannot answer at all, the way out is named."""
    async with scripted(API_2) as (api, client):
        api.replies = [Reply(status)]
        with pytest.raises(kind) as caught:
            await discover(client, None)
    assert remedy == caught.value.remedy


async def test_a_failing_api_is_told_as_ever() -> None:
    """What may pass stays an error that may pass."""
    async with scripted(API_2) as (api, client):
        api.replies = [Reply(503)] * 9
        with pytest.raises(TransientError) as caught:
            await discover(client, None)
    assert FailureReason.SERVER == caught.value.reason


@pytest.mark.parametrize("total", [True, False])
async def test_pages_are_followed(*, total: bool) -> None:
    """All pages are read where the API names a next one."""
    names = [f"d{number:02}.example" for number in range(23)]
    async with world(paged(5, total_count=total)) as simulated:
        found = await listed(simulated, names)
        assert names == domains(found)
        assert [None] == simulated.client.tokens[:1]
        assert 5 == len(simulated.client.tokens) == len(set(simulated.client.tokens))


async def test_a_cut_list_drops_nothing() -> None:
    """A list that the API itself calls longer than what it shows is told of, and no domain counts as absent."""
    async with world(paged(2, next_token=False)) as simulated:
        known = await listed(simulated, ["a.example", "b.example"])
        simulated.simulator.set_domains(None, ["b.example", "c.example", "a.example"])
        known, logs = await logged(simulated.client, known)
        simulated.clock.advance(3 * DAY_SECS)
        known, _ = await logged(simulated.client, known)
    assert ["domains_cut", "domains_changed"] == [entry["event"] for entry in logs]
    assert (["a.example", "b.example", "c.example"], {}) == (domains(known), known.missing_since)


async def test_a_page_as_long_as_asked_for_may_be_cut() -> None:
    """A full page without a next one and without a total is not believed to be all."""
    async with scripted(API_2) as (api, client):
        api.replies = [answer(*(row(f"d{number}.example") for number in range(PAGE_SIZE)))]
        found, logs = await logged(client)
    assert PAGE_SIZE == len(domains(found))
    assert ["domains_cut", "domains_changed"] == [entry["event"] for entry in logs]


async def test_rows_that_are_none_are_skipped() -> None:
    """Rows without a usable domain are counted in one warning without their contents; the rest is read."""
    odd: list[object] = [
        None, 7, True, [], "", {}, {"domain": None}, {"domain": 12}, {"domain": ["x.example"]}, {"domain": " "},
        {"domain": "amy@corp.example"}, {"domain": "*.corp.example"}, {"domain": "a b.example"}, {"domain": "x" * 254},
        {"domain": {"domain": "x.example"}}, {"domains": None}, {"Domain": "x.example"},
    ]  # fmt: skip
    async with world() as simulated:
        simulated.simulator.set_domains(None, [odd[0], "a.example", *odd[1:], "b.example"])
        found, (skipped, changed) = await logged(simulated.client)
    assert ["a.example", "b.example"] == domains(found)
    assert ("domains_skipped", "warning", len(odd)) == (skipped["event"], skipped["log_level"], skipped["rows"])
    assert "corp" not in str(skipped)
    assert 2 == changed["added"]


async def test_flags_exclude_nothing() -> None:
    """Domains that only send, or are not local, are the account's as well."""
    rows = [
        {"domain": "a.example", "sendOnly": True},
        {"domain": "b.example", "local": False, "inboundType": None},
        {"domain": "c.example", "sendOnly": "yes", "unheard": {}},
    ]
    async with world() as simulated:
        assert ["a.example", "b.example", "c.example"] == domains(await listed(simulated, rows))


async def test_one_domain_in_several_spellings() -> None:
    """Spellings of one domain are one domain, and no row of them counts as odd."""
    async with world() as simulated:
        simulated.simulator.set_domains(None, ["Corp.example", "corp.EXAMPLE", " corp.example. ", "corp.example"])
        found, logs = await logged(simulated.client)
    assert (["corp.example"], ["domains_changed"]) == (domains(found), [entry["event"] for entry in logs])


async def test_ten_thousand_domains() -> None:
    """A list far longer than a page is read as it comes; the log names no more than can be read."""
    names = [f"d{number:05}.example" for number in range(10_000)]
    async with world() as simulated:
        simulated.simulator.set_domains(None, names)
        found, (changed,) = await logged(simulated.client)
    assert names == domains(found)
    assert (10_000, names[:100]) == (changed["added"], changed["added_names"])


async def test_names_beyond_ascii() -> None:
    """Names are kept as they are listed; one whose bytes are broken is none."""
    async with scripted(API_2) as (api, client):
        broken = '[{"domain":"B\u00dcCHER.example"},{"domain":"xn--bcher-kva.example"},'.encode()
        broken += b'{"domain":"gr\xfcn.example"},{"domain":"c\\ud800d.example"}]'
        api.replies = [Reply(body=b'{"data":' + broken + b"}")]
        found, (skipped, _) = await logged(client)
    assert (["b\u00fccher.example", "xn--bcher-kva.example"], 2) == (domains(found), skipped["rows"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":{"domain":"a.example"}}',
        b'{"data":[{"domains":[{"domain":"a.example"}]}],"meta":{"status":200}}',
        b'{"meta":{"status":"200","pagination":7},"data":[{"domain":"a.example"}]}',
        b'{"data":[{"domain":"a.example","deep":' + b"[" * 900 + b"]" * 900 + b'},{"domain":"a.example"}]}',
    ],
    ids=["one row alone", "blocks", "odd envelope", "deep"],
)
async def test_other_shapes(body: bytes) -> None:
    """Answers in another shape than the documented one are read as far as they make sense."""
    async with scripted(API_2) as (api, client):
        api.replies = [Reply(body=body)]
        assert ["a.example"] == domains(await discover(client, None))


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b'{"data":', b'{"data":7}', b'{"data":[{"domain":' + b"[" * 5000 + b"]" * 5000 + b"}]}"]
)
async def test_an_answer_that_is_none(body: bytes) -> None:
    """What is no answer of the API fails as such."""
    async with scripted(API_2) as (api, client):
        api.replies = [Reply(body=body)] * 9
        with pytest.raises(TransientError) as caught:
            await discover(client, None)
    assert FailureReason.BAD_RESPONSE == caught.value.reason


async def test_a_repeated_token_ends_the_list() -> None:
    """A token that comes again ends the list once a page shows nothing new, and not before."""
    async with scripted(API_2) as (api, client):
        pages = [answer(row(f"{name}.example"), next="t") for name in "aabcc"]
        api.replies = [pages[0], *pages[2:], answer(row("z.example"))]
        found = await discover(client, None)
        assert 5 == len(api.paths())
    assert ["a.example", "b.example", "c.example"] == domains(found)


async def test_an_empty_page_does_not_end_the_list() -> None:
    """An empty page that names a next one is followed."""
    async with scripted(API_2) as (api, client):
        api.replies = [answer(row("a.example"), next="1"), answer(next="2"), answer(row("b.example"))]
        assert ["a.example", "b.example"] == domains(await discover(client, None))


async def test_pages_without_end() -> None:
    """Pages that go on and show nothing new fail after a bounded number of them."""
    async with scripted(API_2, max_requests_per_minute=10_000) as (api, client):
        api.replies = [answer(row("a.example"), next=str(number)) for number in range(MOST_IDLE_PAGES + 9)]
        assert "nothing new" in str(await failure(client))
        assert MOST_IDLE_PAGES + 2 == len(api.paths())


async def test_new_rows_on_every_page() -> None:
    """A list whose pages never end, each with a new row, fails as well."""
    async with scripted(API_2, max_requests_per_minute=10_000) as (api, client):
        api.replies = [answer(row(f"d{number}.example"), next=str(number)) for number in range(MOST_PAGES + 9)]
        assert f"more than {MOST_PAGES} pages" in str(await failure(client))


async def test_rows_without_end() -> None:
    """An answer with more rows than any account has domains fails instead of filling the memory."""
    async with scripted(API_2) as (api, client):
        rows = ",".join(map(str, range(MOST_ROWS + 9)))
        api.replies = [Reply(body=f'{{"data":[{rows}]}}'.encode())]
        assert f"more than {MOST_ROWS} rows" in str(await failure(client))


@pytest.mark.parametrize("times", [1, 2])
async def test_a_forgotten_page_token(times: int) -> None:
    """A token that the API knows no more starts the list anew once; the second time it is the API that is broken."""
    forgotten = Reply(body={"meta": {"status": 200}, "fail": [{"errors": [{"code": "xdk_failure"}]}]})
    first = answer(row("a.example"), next="1")
    async with scripted(API_2) as (api, client):
        api.replies = [*[first, forgotten] * times, first, answer(row("b.example"))]
        if times == 1:
            assert ["a.example", "b.example"] == domains(await discover(client, None))
        else:
            assert "page tokens" in str(await failure(client))


async def requests(api: Api, client: MimecastClient) -> list[object]:
    """Discover once and return what was sent for it."""
    api.replies = [answer(row("a.example"))]
    await discover(client, None)
    return [asked.json for asked in api.asked if asked.path.endswith("/get-internal-domain")]


async def test_what_is_asked() -> None:
    """The request holds one empty item, for the 2.0 gateway refuses any other number, and the size of a page."""
    async with scripted(API_2) as (api, client):
        assert [{"meta": {"pagination": {"pageSize": 500}}, "data": [{}]}] == await requests(api, client)


async def test_stored_and_read_back() -> None:
    """The cursor's value is the list; no cursor is no list."""
    async with world() as simulated:
        found = await discover(simulated.client, None)
        simulated.cursors[CURSOR] = msgspec.json.encode(found)
        assert found == read_domains(simulated.cursors[CURSOR])
        assert None is read_domains(None)


class Options(Config):
    """A model with the option, as the message finder has it."""

    domains: DomainsOption = Field([])


def test_the_option() -> None:
    """The option is a list, each domain spelt as discovery spells it, or the word."""
    assert "discover" == Options.model_validate({"domains": "discover"}).domains
    assert ["a.example", "b.example"] == Options(domains=["A.example.", "b.example"]).domains
    assert [] == Options(domains=[]).domains == Options().domains


@pytest.mark.parametrize(
    ("given", "path", "text"),
    [
        ("discovery", ("domains",), "did you mean discover?"),
        ("Discover", ("domains",), "did you mean discover?"),
        ("corp.example", ("domains",), "write the domains as a list, be it of one: [corp.example]"),
        (["a.example", "discover"], ("domains", 1), "write domains: discover, without a list"),
        (["amy@corp.example"], ("domains", 0), "write the domain alone"),
        (["*.corp.example"], ("domains", 0), "no wildcards; list every domain and subdomain"),
        ([""], ("domains", 0), "this is not the name of a domain"),
        ([7], ("domains", 0), "valid string"),
        (None, ("domains",), "valid list"),
        (7, ("domains",), "valid list"),
    ],
)
def test_a_wrong_option(given: object, path: tuple[str | int, ...], text: str) -> None:
    """What is wrong is said once, of the entry it is about, with what to write."""
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({"domains": given})
    (problem,) = caught.value.errors()
    assert text in problem["msg"]
    place = locate(Options, problem["loc"])
    assert (path, False) == (place.path, place.secret)


def test_the_option_in_the_schema() -> None:
    """Editors are told of both ways."""
    names = {"type": "array", "items": {"type": "string", "minLength": 1}}
    expected = {"anyOf": [names, {"const": "discover", "type": "string"}]}
    assert expected == TypeAdapter(DomainsOption).json_schema()
