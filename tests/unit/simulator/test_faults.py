"""Faults: each kind on the wire, scripts, and profiles."""

import asyncio
import socket
from typing import Any

import aiohttp
import msgspec
import pytest

from mcwatch.simulator import PROFILES, Fault, Faults, SimulatorConfig
from mcwatch.simulator.faults import FAULT_KINDS, ROW_FAULTS, FaultKind
from tests.unit.simulator.client import DOMAINS, FINDER, QUEUE, TO_CORP, Client
from tests.unit.simulator.conftest import Start

LIST = {"type": "processing"}


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("throttle"), 429, "too_many_requests"),
        (Fault("unverified"), 401, "token_verification_failed"),
        (Fault("token_expired"), 401, "token_expired"),
        (Fault("binding"), 418, "err_xdk_binding_expired"),
        (Fault("forbidden"), 403, "app_forbidden"),
        (Fault("fail_ok"), 200, "err_internal"),
        (Fault("fail_ok", code="err_x"), 200, "err_x"),
    ],
)
async def test_failures(quiet: Client, fault: Fault, status: int, code: str) -> None:
    """A scripted failure meets one request, is counted, and the next one goes well."""
    quiet.simulator.script(fault)
    answer = await quiet.call(QUEUE, LIST)
    assert (status, code) == (answer.status, answer.code)
    assert {fault.kind: 1} == dict(quiet.simulator.faults.injected)
    assert quiet.simulator.stats.codes[code] == 1
    await quiet.log_in()
    assert (await quiet.call(QUEUE, LIST)).status == 200


async def test_token_expired_ends_the_token(quiet: Client) -> None:
    """After an injected token_expired the old token stays expired."""
    quiet.simulator.script(Fault("token_expired"))
    codes = [(await quiet.call(QUEUE, LIST)).code for _ in range(2)]
    assert codes == ["token_expired", "token_expired"]


async def test_throttle_names_the_wait(quiet: Client) -> None:
    """A scripted 429 says in milliseconds how long to wait."""
    quiet.simulator.script(Fault("throttle", after_secs=2.5))
    assert (await quiet.call(QUEUE, LIST)).headers["X-RateLimit-Reset"] == "2500"


@pytest.mark.parametrize(
    ("fault", "status", "start_of_body"),
    [
        (Fault("error_html"), 503, b"<!DOCTYPE html>"),
        (Fault("error_html", status=500), 500, b"<!DOCTYPE html>"),
        (Fault("html_ok"), 200, b"<!DOCTYPE html>"),
        (Fault("empty_body"), 400, b""),
        (Fault("empty_body", status=200), 200, b""),
    ],
)
async def test_no_json(quiet: Client, fault: Fault, status: int, start_of_body: bytes) -> None:
    """A platform fault answers HTML or nothing."""
    quiet.simulator.script(fault)
    answer = await quiet.call(QUEUE, LIST)
    assert (status, start_of_body, None) == (answer.status, answer.body[:15], answer.content)


async def test_meta_error(quiet: Client) -> None:
    """HTTP 200 with a failing meta.status and an empty fail list."""
    quiet.simulator.script(Fault("meta_error"))
    answer = await quiet.call(QUEUE, LIST)
    assert (answer.status, answer.content["meta"], answer.content["fail"]) == (200, {"status": 403}, [])


@pytest.mark.parametrize("kind", ["reset_before", "reset_body"])
async def test_resets(quiet: Client, kind: FaultKind) -> None:
    """The connection is reset before the answer, or inside its body; nothing counts as shown."""
    quiet.simulator.add_mail()
    quiet.simulator.script(Fault(kind))
    with pytest.raises(aiohttp.ClientError):
        await quiet.call(FINDER, TO_CORP)
    assert len(quiet.simulator.ledger) == 0
    assert len((await quiet.call(FINDER, TO_CORP)).rows) == 1


async def test_cut_json(quiet: Client) -> None:
    """JSON can end in the middle though HTTP says that it is whole; nothing counts as shown."""
    quiet.simulator.add_mail()
    quiet.simulator.script(Fault("cut_json"))
    body = await quiet.read(FINDER, TO_CORP)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body)
    assert len(quiet.simulator.ledger) == 0


async def test_stall(quiet: Client) -> None:
    """A stalled answer comes late, and correct."""
    quiet.simulator.script(Fault("stall", after_secs=0.01))
    assert (await quiet.call(QUEUE, LIST)).status == 200
    quiet.simulator.script(Fault("stall", after_secs=1000.0))
    headers = {"Authorization": f"Bearer {quiet.token}"}
    with pytest.raises(TimeoutError):
        await quiet.request("POST", QUEUE, headers=headers, timeout=aiohttp.ClientTimeout(total=0.02))


@pytest.mark.parametrize("kind", ["odd_rows", "wrong_types", "invalid_utf8"])
async def test_unreadable_rows(quiet: Client, kind: FaultKind) -> None:
    """Unreadable rows stand beside good ones, differ each time, and are in the ledger with their text."""
    quiet.simulator.add_mail()
    quiet.simulator.script(Fault(kind, times=2))
    bodies = [await quiet.read(FINDER, TO_CORP) for _ in range(2)]
    body = bodies[0]
    if kind == "invalid_utf8":
        assert b"Gr\xfc\xdfe" in body
    else:
        assert len(msgspec.json.decode(body)["data"][0]["trackedEmails"]) > 1
    odd = [sighting.raw for sighting, _ in quiet.simulator.ledger.entries() if sighting.raw is not None]
    assert len(set(odd)) == len(odd) >= 2
    assert len(quiet.simulator.ledger) - len(odd) == 1


async def test_odd_rows_in_an_empty_answer(quiet: Client) -> None:
    """Unreadable rows appear even where there is no good row, so that the fault really fires."""
    quiet.simulator.script(Fault("odd_rows"))
    assert len((await quiet.call(QUEUE, LIST)).rows) == 6


async def test_big_answer(quiet: Client) -> None:
    """An answer can be blown up by an unknown key."""
    quiet.simulator.add_mail(count=20)
    quiet.simulator.script(Fault("big_answer"))
    assert len((await quiet.call(FINDER, TO_CORP)).body) > 1_000_000


async def test_script_is_addressed(quiet: Client) -> None:
    """A fault meets only the account and endpoint it is meant for, as many times as it says."""
    quiet.simulator.script(
        Fault("html_ok", endpoint="finder", times=2), Fault("binding", account="other"), Fault("forbidden")
    )
    assert (await quiet.call(QUEUE, LIST)).status == 403
    bodies = [(await quiet.call(FINDER, TO_CORP)).body[:9] for _ in range(3)]
    assert bodies == [b"<!DOCTYPE", b"<!DOCTYPE", b'{"meta":{']
    assert [fault.kind for fault in quiet.simulator.faults.pending] == ["binding"]


async def test_token_endpoint_has_faults_too(quiet: Client) -> None:
    """The token endpoint can fail like the platform does."""
    quiet.simulator.script(Fault("error_html", endpoint="token"))
    form = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": "demo-secret"}
    assert (await quiet.request("POST", "/oauth/token", data=form)).status == 503


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_fire(profile: str) -> None:
    """Each profile injects every one of its kinds, and nothing else, the same for the same seed."""
    first, second = Faults(profile, seed=3), Faults(profile, seed=3)
    drawn = [first.next_for("demo", "finder") for _ in range(5000)]
    assert drawn == [second.next_for("demo", "finder") for _ in range(5000)]
    assert set(PROFILES[profile]) == {fault.kind for fault in drawn if fault} <= FAULT_KINDS


def test_storms() -> None:
    """A drawn 429 comes with more of its kind."""
    faults = Faults("throttled", seed=1)
    drawn = [faults.next_for("demo", "finder") for _ in range(200)]
    runs: list[Any] = "".join("x" if fault else "." for fault in drawn).split(".")
    assert min(len(run) for run in runs if run) >= 4


def test_unknown_profile() -> None:
    """An unknown profile is an error that names the known ones."""
    with pytest.raises(ValueError, match="chaos"):
        Faults("none at all", seed=1)


async def test_only_what_happens_is_counted(quiet: Client) -> None:
    """A fault waits for a call it can happen to: neither a refused one, nor one of a function without rows."""
    quiet.simulator.script(Fault("odd_rows"))
    assert (await quiet.call(DOMAINS, {})).status == 200
    assert (await quiet.request("POST", QUEUE)).status == 401
    assert not quiet.simulator.faults.injected
    await quiet.call(QUEUE, LIST)
    assert dict(quiet.simulator.faults.injected) == {"odd_rows": 1}


async def test_chaos_keeps_serving(start: Start) -> None:
    """Under chaos an answer that is not good is a fault that was counted."""
    client = await start(SimulatorConfig(stall_secs=0.001, history_secs=300.0, seed=5))
    client.simulator.faults.use("chaos")
    bad = 0
    for _ in range(100):
        if client.simulator.faults.injected["token_expired"]:
            break
        try:
            bad += b'"messages":[' not in await client.read(QUEUE, LIST)
        except aiohttp.ClientError:
            bad += 1
    injected = client.simulator.faults.injected
    assert injected.total() - sum(injected[kind] for kind in ("stall", "cut_json", *ROW_FAULTS)) <= bad
    assert bad <= injected.total()


async def test_a_client_that_goes_away_has_seen_nothing(quiet: Client) -> None:
    """Rows count as shown only if the whole body left: here the client resets after the first bytes."""
    quiet.simulator.add_mail(count=60)
    quiet.simulator.script(Fault("big_answer"))
    body = msgspec.json.encode({"data": [TO_CORP]})
    head = f"POST {FINDER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {quiet.token}\r\n"
    opened = socket.socket()
    # A small window, lest the kernel take the whole body off the server's hands.
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    opened.setblocking(False)
    await asyncio.get_running_loop().sock_connect(opened, ("127.0.0.1", quiet.simulator.port))
    reader, writer = await asyncio.open_connection(sock=opened, limit=1024)
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert (await reader.read(512)).startswith(b"HTTP/1.1 200")
    writer.transport.abort()
    for _ in range(3):
        await quiet.call(QUEUE, LIST)
    assert dict(quiet.simulator.faults.injected) == {"big_answer": 1}
    assert len(quiet.simulator.ledger) == 0
