"""Authentication: tokens of API 2.0, signatures of API 1.0."""

import dataclasses

import pytest

from mcwatch.simulator import AccountConfig, SimulatorConfig
from mcwatch.simulator.signing import sign
from tests.unit.simulator.client import DOMAINS, FINDER, QUEUE, Client, FakeClock, signed
from tests.unit.simulator.conftest import Start

QUIET = SimulatorConfig.quiet()


@pytest.mark.parametrize(
    ("path", "expected"),
    [(FINDER, "chph+CYgrQOuzziViTHkPu1SMyk="), (QUEUE, "rDPOsIk74qd2GiHBgJ1KTsyRKqQ=")],
)
def test_signature_vector(path: str, expected: str) -> None:
    """The signature of the reference notes' test vector comes out."""
    signature = sign(
        secret_key="bWN3YXRjaC1kZW1vLXNlY3JldC0wMDAx",
        date="Mon, 05 Jan 2026 09:30:00 UTC",
        request_id="6f1f9c1e-5d0b-4a51-9c1c-2a7c8f3b9d10",
        path=path,
        app_key="demo-app-key",
    )
    assert expected == signature


async def test_token_answer(quiet: Client) -> None:
    """A token lives 1799 s unless configured, and there is no refresh token."""
    form = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": "demo-secret"}
    answer = await quiet.request("POST", "/oauth/token", data=form)
    assert {"access_token", "token_type", "expires_in", "scope"} == set(answer.content)
    assert (answer.content["token_type"], answer.content["expires_in"]) == ("Bearer", 1799)


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
async def test_token_refused(quiet: Client, change: dict[str, str], status: int, error: str) -> None:
    """Wrong credentials give an OAuth error object."""
    form = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": "demo-secret", **change}
    answer = await quiet.request("POST", "/oauth/token", data=form)
    assert (status, error) == (answer.status, answer.content["error"])


async def test_token_expires(quiet: Client, clock: FakeClock) -> None:
    """A token works until its last second, then fails flat with token_expired."""
    clock.now += 1798
    assert (await quiet.call(QUEUE, {"type": "processing"})).status == 200
    clock.now += 1
    answer = await quiet.call(QUEUE, {"type": "processing"})
    assert (answer.status, answer.code) == (401, "token_expired")
    assert {"fail"} == set(answer.content)


@pytest.mark.parametrize(
    ("token", "code"), [("made-up", "token_verification_failed"), ("", "token_verification_failed")]
)
async def test_token_unknown(quiet: Client, token: str, code: str) -> None:
    """An unknown token cannot be verified."""
    quiet.token = token
    answer = await quiet.call(QUEUE, {"type": "processing"})
    assert answer.status == 401
    assert answer.code in {code, "unauthorized"}


@pytest.mark.parametrize("zone", ["UTC", "GMT"])
async def test_signed_call(quiet: Client, zone: str) -> None:
    """A signed call works with either name of the zone, and needs no token."""
    headers = signed(QUEUE, quiet.simulator.now(), zone)
    assert (await quiet.post(QUEUE, headers, ({"type": "processing"},), {})).status == 200


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"Authorization": "MC demo-access-key:AAAA"}, 401, "err_xdk_invalid_signature"),
        ({"Authorization": "MC nobody:AAAA"}, 401, "err_xdk_invalid_signature"),
        ({"x-mc-req-id": "another"}, 401, "err_xdk_invalid_signature"),
        ({"x-mc-date": "yesterday"}, 401, "err_xdk_invalid_signature"),
        ({"x-mc-app-id": "another"}, 401, "err_developer_key"),
        ({"Authorization": ""}, 400, "err_xdk_credentials_missing"),
    ],
)
async def test_signed_call_refused(quiet: Client, change: dict[str, str], status: int, code: str) -> None:
    """Each wrong header has its code, in the nested shape."""
    answer = await quiet.call_signed(QUEUE, {"type": "processing"}, **change)
    assert (status, code) == (answer.status, answer.code)
    assert "errors" in answer.content["fail"][0]


@pytest.mark.parametrize(("offset", "status"), [(-900, 200), (900, 200), (-901, 401), (901, 401)])
async def test_skew(quiet: Client, offset: float, status: int) -> None:
    """A date more than 15 minutes off is refused."""
    headers = signed(QUEUE, quiet.simulator.now() + offset)
    assert status == (await quiet.post(QUEUE, headers, ({"type": "processing"},), {})).status


async def test_replay(quiet: Client) -> None:
    """A request id works once."""
    headers = signed(QUEUE, quiet.simulator.now())
    first = await quiet.post(QUEUE, headers, ({"type": "processing"},), {})
    again = await quiet.post(QUEUE, headers, ({"type": "processing"},), {})
    assert (first.status, again.status, again.code) == (200, 401, "err_xdk_invalid_signature")


async def test_replay_is_remembered_as_long_as_needed(
    quiet: Client, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Used request ids are forgotten only when their date is out of tolerance anyway."""
    monkeypatch.setattr("mcwatch.simulator.signing._MOST_REQUEST_IDS", 1)
    headers = signed(QUEUE, clock.now + 800)
    assert (await quiet.post(QUEUE, headers, ({"type": "processing"},), {})).status == 200
    clock.now += 1600
    assert (await quiet.call_signed(QUEUE, {"type": "processing"})).status == 200
    answer = await quiet.post(QUEUE, headers, ({"type": "processing"},), {})
    assert "already used" in answer.content["fail"][0]["errors"][0]["message"]


async def test_binding_expired(start: Start) -> None:
    """Keys whose time is over answer 418; tokens of the same account still work."""
    client = await start(dataclasses.replace(QUIET, accounts=(AccountConfig(binding_expired=True),)))
    answer = await client.call_signed(QUEUE, {"type": "processing"})
    assert (answer.status, answer.code) == (418, "err_xdk_binding_expired")
    assert (await client.call(QUEUE, {"type": "processing"})).status == 200


async def test_product_missing(start: Start) -> None:
    """A function outside the application's products is forbidden."""
    client = await start(dataclasses.replace(QUIET, accounts=(AccountConfig(products=frozenset({"queue"})),)))
    answer = await client.call(DOMAINS, {})
    assert (answer.status, answer.code) == (403, "app_forbidden")
    assert (await client.call(QUEUE, {"type": "processing"})).status == 200


async def test_unknown_path_and_verb(quiet: Client) -> None:
    """An unknown path is 404, a wrong verb 405, both worded flat for bearers."""
    headers = {"Authorization": f"Bearer {quiet.token}"}
    missing = await quiet.call("/api/gateway/nothing", {})
    wrong = await quiet.request("GET", FINDER, headers=headers)
    assert [missing.status, wrong.status] == [404, 405]
    assert {"fail"} == set(missing.content) == set(wrong.content)


async def test_clock_offset(start: Start, clock: FakeClock) -> None:
    """The Date header shows the server's own clock, against which signatures are checked too."""
    client = await start(dataclasses.replace(QUIET, clock_offset_secs=3600.0))
    answer = await client.call_signed(QUEUE, {"type": "processing"})
    assert (answer.status, answer.headers["Date"]) == (200, "Mon, 05 Jan 2026 10:30:00 GMT")
    late = await client.post(QUEUE, signed(QUEUE, clock.now), ({"type": "processing"},), {})
    assert late.status == 401


async def test_accounts_are_apart(start: Start) -> None:
    """Each account has credentials and a world of its own."""
    accounts = (AccountConfig("north", domains=("north.example",)), AccountConfig("south"))
    client = await start(dataclasses.replace(QUIET, accounts=accounts))
    client.simulator.add_mail("south", life=[[0, "processing"]])
    assert (await client.call(QUEUE, {"type": "processing"})).rows == []
    domains = await client.call(DOMAINS, {})
    assert [row["domain"] for row in domains.content["data"]] == ["north.example"]
    await client.log_in("south")
    assert len((await client.call(QUEUE, {"type": "processing"})).rows) == 1
