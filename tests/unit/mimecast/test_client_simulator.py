"""The client against the built-in simulator, which checks tokens, signatures, filters and quotas by itself."""

import pytest

from mcwatch.domain.errors import AuthError, McwatchError, ThrottledError, TransientError
from mcwatch.mimecast.check import check_account
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.errors import BindingExpired, FilterRequired, HistoryExceeded, PageTokenInvalid
from mcwatch.simulator import AccountConfig, Fault, SimulatorConfig
from mcwatch.simulator.config import QuotaConfig, Shape
from tests.unit.mimecast.world import FOUND, HMAC, OAUTH2, both, run

FINDER, QUEUE = Endpoint.MESSAGE_FINDER, Endpoint.PROCESSING_QUEUE


@both
async def test_both_endpoints_answer(auth: dict[str, str]) -> None:
    """Token and signature are accepted, and both endpoints answer."""
    config = SimulatorConfig(hostile_share=0.0, odd_share=0.0)
    async with run(auth, config) as world:
        answer = await world.client.call(FINDER, world.search(), FOUND, page_size=500)
        assert answer.items
        assert answer.items[0].trackedEmails
        result = await check_account(world.client, [QUEUE, (FINDER, world.search())])
    assert [(True, ""), (True, "")] == [(check.ok, check.remedy) for check in result.endpoints]
    assert result.endpoints[0].quota.limit == config.quota.calls


@both
async def test_paging_reads_every_row(auth: dict[str, str]) -> None:
    """Following next gives all rows of a page of all, in smaller pieces."""
    config = SimulatorConfig(finder=Shape(page_cap=500))
    async with run(auth, config, max_requests_per_minute=100_000) as world:  # no waits: the list stands still
        search = world.search(0.25)
        whole = await world.client.call(FINDER, search, FOUND, page_size=500)
        pieces: list[bytes] = []
        token: str | None = None
        while True:
            page = await world.client.call(FINDER, search, FOUND, page_size=30, page_token=token)
            pieces += [bytes(row) for item in page.items or [] for row in item.trackedEmails]
            token = page.next_token
            if token is None:
                break
    assert len(pieces) > 60
    assert [bytes(row) for item in whole.items or [] for row in item.trackedEmails] == pieces


@both
async def test_a_server_clock_hours_ahead(auth: dict[str, str]) -> None:
    """With clocks hours apart the account works from its first call on, in the server's time."""
    async with run(auth, SimulatorConfig(clock_offset_secs=7200.0)) as world:
        await world.client.call(FINDER, world.search(), FOUND)
        assert world.client.skew_secs == pytest.approx(7200.0, abs=1.0)
        answer = await world.client.call(FINDER, world.search(), FOUND)
    assert answer.items
    assert answer.items[0].trackedEmails


@both
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("throttle", after_secs=5.0), None),
        (Fault("throttle", after_secs=600.0), ThrottledError),
        (Fault("error_html", times=2), None),
        (Fault("error_html", times=4), TransientError),
        (Fault("empty_body", status=502), None),
        (Fault("reset_before"), None),
        (Fault("reset_body"), None),
        (Fault("cut_json"), None),
        (Fault("html_ok"), None),
        (Fault("fail_ok"), None),
        (Fault("meta_error", status=503), None),
    ],
    ids=lambda value: f"{value.kind}{value.times}" if isinstance(value, Fault) else None,
)
async def test_faults(auth: dict[str, str], fault: Fault, kind: type[McwatchError] | None) -> None:
    """What passes is outlived inside the call; what lasts comes out as the error it is."""
    async with run(auth, SimulatorConfig()) as world:
        await world.client.call(QUEUE, {"type": "processing"}, FOUND)
        world.simulator.script(fault)
        if kind is None:
            await world.client.call(FINDER, world.search(), FOUND)
            return
        with pytest.raises(kind):
            await world.client.call(FINDER, world.search(), FOUND)


@pytest.mark.parametrize("fault", [Fault("token_expired"), Fault("unverified", times=2)], ids=lambda fault: fault.kind)
async def test_token_faults(fault: Fault) -> None:
    """Expired and unverifiable tokens are replaced and the call goes on."""
    async with run(OAUTH2, SimulatorConfig()) as world:
        await world.client.call(FINDER, world.search(), FOUND)
        world.simulator.script(fault)
        await world.client.call(FINDER, world.search(), FOUND)


async def test_tokens_that_live_a_minute_are_renewed_ahead() -> None:
    """Ten minutes of calls with tokens of a minute see no refusal."""
    async with run(OAUTH2, SimulatorConfig(token_secs=60.0)) as world:
        for _ in range(40):
            await world.client.call(FINDER, world.search(), FOUND)
            world.clock.advance(15.0)
        requests = world.simulator.stats.requests
    assert 40 == requests["finder"]
    assert 10 <= requests["token"] <= 14


async def test_wrong_secrets_are_refused_for_what_they_are() -> None:
    """A wrong client secret, signing key and application are AuthErrors that quote none of them."""
    for auth in (
        {**OAUTH2, "client_secret": "hunter2"},
        {**HMAC, "secret_key": "aHVudGVyMg=="},
        {**HMAC, "app_key": "hunter2"},
        {**HMAC, "access_key": "hunter2"},
    ):
        async with run(auth, SimulatorConfig.quiet()) as world:
            with pytest.raises(AuthError) as caught:
                await world.client.call(FINDER, world.search(), FOUND)
        assert "hunter2" not in str(caught.value) + caught.value.remedy


async def test_an_expired_binding() -> None:
    """418 is told as what it is."""
    config = SimulatorConfig(accounts=(AccountConfig(binding_expired=True),))
    async with run(HMAC, config) as world:
        with pytest.raises(BindingExpired):
            await world.client.call(FINDER, world.search(), FOUND)


@both
async def test_searches_the_finder_refuses(auth: dict[str, str]) -> None:
    """No filter, too old a start and a foreign page token are the errors the sources act on."""
    async with run(auth, SimulatorConfig.quiet()) as world:
        plain = {name: value for name, value in world.search().items() if name != "advancedTrackAndTraceOptions"}
        with pytest.raises(FilterRequired):
            await world.client.call(FINDER, plain, FOUND)
        with pytest.raises(HistoryExceeded):
            await world.client.call(FINDER, world.search(31 * 24), FOUND)
        with pytest.raises(PageTokenInvalid):
            await world.client.call(FINDER, world.search(), FOUND, page_token="bm9uc2Vuc2U")


async def test_a_missing_product() -> None:
    """An application without the product is told which right is missing."""
    config = SimulatorConfig(accounts=(AccountConfig(products=frozenset({"queue"})),))
    async with run(OAUTH2, config) as world:
        result = await check_account(world.client, [QUEUE, (FINDER, world.search())])
    assert [True, False] == [check.ok for check in result.endpoints]
    assert "product" in result.endpoints[1].remedy


@both
@pytest.mark.parametrize("reset", ["milliseconds", "epoch_seconds", "epoch_milliseconds"])
async def test_no_call_is_refused_when_the_quota_is_told(auth: dict[str, str], reset: str) -> None:
    """With a quota far below the ceiling, its headers alone keep the client from ever being refused."""
    quota = QuotaConfig(calls=10, per_secs=60.0, reset=reset)  # type: ignore[arg-type]  # parametrised
    async with run(auth, SimulatorConfig(quota=quota, mails_per_minute=0.0), max_requests_per_minute=600) as world:
        for _ in range(35):
            await world.client.call(FINDER, world.search(), FOUND)
    assert world.clock.monotonic() >= 150.0
    assert 0 == world.simulator.stats.throttled
