"""Logins and the bindings they renew."""

import base64
import dataclasses

import pytest

from mcwatch.simulator import AccountConfig, Fault, QuotaConfig, SimulatorConfig
from tests.unit.simulator.client import QUEUE, Answer, Client, FakeClock, signed
from tests.unit.simulator.conftest import Start

LOGIN = "/api/login/login"
LIST = {"type": "processing"}
ITEM = {"userName": "svc@demo.example", "accessKey": "demo-access-key"}


def quiet_account(**keys: object) -> SimulatorConfig:
    """A tenant without mail."""
    account = dataclasses.replace(AccountConfig(), **keys)  # type: ignore[arg-type]  # whatever a test sets
    return dataclasses.replace(SimulatorConfig.quiet(), accounts=(account,))


async def log_in(
    client: Client, *items: dict[str, object], user: str = "svc@demo.example:demo-password", **headers: str
) -> Answer:
    """Log in with the given item, or the right one."""
    basic = base64.b64encode(user.encode()).decode()
    sent = {"Authorization": f"Basic-Cloud {basic}", "x-mc-app-id": "demo-app-id", "x-mc-date": "d", "x-mc-req-id": "i"}
    return await client.post(LOGIN, {**sent, **headers}, items or (ITEM,), {})


async def test_a_login_renews_the_binding_and_answers_its_keys(start: Start, clock: FakeClock) -> None:
    """Keys that expired sign again after a login that names them."""
    client = await start(quiet_account(binding_secs=60.0))
    clock.now += 60
    assert 418 == (await client.call_signed(QUEUE, LIST)).status
    answer = await log_in(client)
    (item,) = answer.content["data"]
    assert (200, "demo-access-key", 60_000) == (answer.status, item["accessKey"], item["duration"])
    assert 200 == (await client.call_signed(QUEUE, LIST)).status
    assert 1 == client.simulator.stats.requests["login"]


async def test_a_binding_expires_when_a_test_says_so(quiet: Client) -> None:
    """At a scripted moment the keys end, and a login renews them."""
    assert 200 == (await quiet.call_signed(QUEUE, LIST)).status
    quiet.simulator.expire_binding()
    assert 418 == (await quiet.call_signed(QUEUE, LIST)).status
    await log_in(quiet)
    assert 200 == (await quiet.call_signed(QUEUE, LIST)).status


async def test_a_login_may_answer_other_keys(start: Start, clock: FakeClock) -> None:
    """Where an account gets new keys, those sign, and the old ones stay expired."""
    client = await start(quiet_account(binding_expired=True, new_keys_at_login=True))
    (item,) = (await log_in(client)).content["data"]
    assert item["accessKey"] != "demo-access-key"
    assert base64.b64decode(item["secretKey"])
    assert 418 == (await client.call_signed(QUEUE, LIST)).status
    headers = signed(QUEUE, clock.now)
    unsigned = headers["Authorization"].rpartition(":")[2]
    answer = await client.post(QUEUE, {**headers, "Authorization": f"MC {item['accessKey']}:{unsigned}"}, (LIST,), {})
    assert (401, "err_xdk_invalid_signature") == (answer.status, answer.code)


@pytest.mark.parametrize(
    ("user", "headers", "item", "status", "code"),
    [
        ("svc@demo.example:wrong", {}, ITEM, 401, "err_login_failed"),
        ("nobody@demo.example:demo-password", {}, ITEM, 401, "err_login_failed"),
        ("svc@demo.example:demo-password", {"x-mc-app-id": "other"}, ITEM, 401, "err_developer_key"),
        ("svc@demo.example:demo-password", {"x-mc-req-id": ""}, ITEM, 400, "err_xdk_credentials_missing"),
        ("x", {"Authorization": "Basic-Cloud !"}, ITEM, 401, "err_login_failed"),
        ("x", {"Authorization": "Basic abc"}, ITEM, 400, "err_xdk_credentials_missing"),
        ("svc@demo.example:demo-password", {}, {"userName": "other"}, 400, "err_validation_null"),
    ],
)
async def test_logins_refused(
    quiet: Client, user: str, headers: dict[str, str], item: dict[str, object], status: int, code: str
) -> None:
    """Whatever is wrong has its status and code, nested as API 1.0 does."""
    quiet.simulator.expire_binding()
    answer = await log_in(quiet, item, user=user, **headers)
    assert (status, code) == (answer.status, answer.code)
    assert "errors" in answer.content["fail"][0]
    assert 418 == (await quiet.call_signed(QUEUE, LIST)).status


async def test_logins_count_against_the_quota_of_the_user(start: Start) -> None:
    """A login takes one call of the account's, and is refused when none is left."""
    quota = QuotaConfig(calls=2)
    client = await start(dataclasses.replace(SimulatorConfig.quiet(), quota=quota))
    statuses = [(await log_in(client)).status, (await client.call_signed(QUEUE, LIST)).status]
    assert [200, 200, 429] == [*statuses, (await log_in(client)).status]


async def test_a_login_can_go_wrong_as_told(quiet: Client) -> None:
    """Faults for logins meet nothing else, and a verb other than POST is refused."""
    quiet.simulator.script(Fault("error_html", endpoint="login", status=502))
    assert 200 == (await quiet.call_signed(QUEUE, LIST)).status
    assert 502 == (await log_in(quiet)).status
    basic = base64.b64encode(b"svc@demo.example:demo-password").decode()
    headers = {"Authorization": f"Basic-AD {basic}", "x-mc-app-id": "demo-app-id", "x-mc-date": "d", "x-mc-req-id": "i"}
    assert 405 == (await quiet.request("GET", LOGIN, headers=headers)).status
