"""Recognisable secrets and mail contents are planted everywhere; none shows where people and scrapers look."""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from mcwatch.simulator import AccountConfig, Fault, Simulator, SimulatorConfig
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.conftest import PLENTY
from tests.acceptance.counterparts import Front, Hook
from tests.acceptance.daemon import CONFIG, Daemon, run_command
from tests.acceptance.waiting import eventually
from tests.fakes.http_server import HttpServer, free_port

_SECRETS = {
    "client secret": "planted-client-secret-5b1d",
    "proxy password": "planted-proxy-password-77aa",
    "header": "planted-hec-token-90cc",
    "URL password": "planted-url-password-31fe",
    "URL path": "planted-path-token-62bd",
    "hmac access key": "planted-access-key-e04c",
    "hmac secret key": base64.b64encode(b"planted-hmac-secret-8811").decode(),
}
_CONTENTS = {
    "subject": "Planted Subject Zebra 4711",
    "sender": "planted.spy.5521@partner.example",
    "recipient": "planted.amy.7719@corp.example",
    "IP": "203.0.113.77",
}
_QUOTED = " ".join([*_SECRETS.values(), *_CONTENTS.values()])
_PAGES = ("/metrics", "/status", "/", "/fragment", "/readyz", "/healthz")


@dataclass
class World:
    """Counterparts that quote whatever they know, and the configuration that meets them all."""

    simulator: Simulator
    front: Front
    hook: Hook
    strict: Hook
    config: Config
    env: Mapping[str, str]


@pytest.fixture
async def world(place: Path) -> AsyncIterator[World]:
    """Start everything that quotes."""
    quiet = SimulatorConfig(
        accounts=tuple(AccountConfig(name) for name in ("demo", "refused", "proxied", "dead")),
        mails_per_minute=0.0, history_secs=0.0, quota=PLENTY,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(quiet))
        front = await stack.enter_async_context(Front(simulator.url))
        refusing = await stack.enter_async_context(Front(simulator.url))
        refusing.instead = lambda _request: web.json_response(
            {"error": "invalid_client", "error_description": _QUOTED}, status=401
        )
        proxy = await stack.enter_async_context(HttpServer(_wants_other_credentials))
        hook = await stack.enter_async_context(Hook())
        strict = await stack.enter_async_context(Hook())
        hook.refuse = lambda lines: web.Response(status=400, text=_QUOTED) if _poisoned(lines) else None
        strict.refuse = lambda _lines: web.Response(status=401, text=_QUOTED)
        hmac = {
            "type": "hmac", "app_id": "dead-app-id", "app_key": "dead-app-key",
            "access_key": _SECRETS["hmac access key"], "secret_key": _SECRETS["hmac secret key"],
        }  # fmt: skip
        oauth2 = {"type": "oauth2", "client_id": "someone", "client_secret": {"env": "PLANTED_SECRET"}}
        proxy_url = f"http://me:{_SECRETS['proxy password']}@127.0.0.1:{proxy.port}"
        dead_hook = f"http://me:{_SECRETS['URL password']}@127.0.0.1:{free_port()}/in/{_SECRETS['URL path']}"
        config = configuration.whole(
            [
                configuration.account(simulator, base_url=front.url),
                configuration.account(simulator, "refused", base_url=refusing.url, auth=oauth2),
                configuration.account(simulator, "proxied", auth=oauth2, proxy=proxy_url),
                configuration.account(simulator, "dead", auth=hmac, base_url=f"http://127.0.0.1:{free_port()}"),
            ],
            [
                configuration.hook(hook.url, headers={"Authorization": f"Splunk {_SECRETS['header']}"}),
                configuration.hook(strict.url, "strict", headers={"X-Key": {"file": "token"}}),
                configuration.hook(dead_hook, "unreachable"),
            ],
            log={"level": "debug"},
        )
        (place / "token").write_text(_SECRETS["header"] + "\n")
        yield World(simulator, front, hook, strict, config, {"PLANTED_SECRET": _SECRETS["client secret"]})


async def test_no_secret_and_no_mail_shows_outside_the_destinations(place: Path, world: World) -> None:
    """Logs at debug level, pages, probes, metrics, `status` and `check` hold no secret and nothing of any mail."""
    shown: dict[str, str] = {}
    world.simulator.add_mail(
        sender=_CONTENTS["sender"], to=[_CONTENTS["recipient"]], subject=_CONTENTS["subject"],
        sender_ip=_CONTENTS["IP"], life=[[0, "processing"], [0, "accepted"]],
    )  # fmt: skip
    world.simulator.add_mail(sender=_CONTENTS["sender"], to=[_CONTENTS["recipient"]], subject="poison", count=2)
    async with Daemon(place, world.config, env=world.env) as daemon:
        await eventually(lambda: _CONTENTS["subject"] in world.hook.subjects())
        # A refusal is final once something is accepted after it.
        world.simulator.add_mail(sender=_CONTENTS["sender"], to=[_CONTENTS["recipient"]], subject="witness")
        await eventually(lambda: "witness" in world.hook.subjects())
        await eventually(lambda: len(daemon.find("dead_letter", destination="hook")) == 2)
        world.simulator.script(
            *(Fault(kind, endpoint="finder") for kind in ("odd_rows", "invalid_utf8", "wrong_types")),
        )
        await eventually(lambda: not world.simulator.faults.pending)
        down = {"refused", "proxied", "dead"}
        await eventually(lambda: down <= {line.get("account") for line in daemon.find("component_down")})
        world.front.instead = lambda _request: web.json_response(
            {"fail": [{"errors": [{"code": _CONTENTS["subject"], "message": _QUOTED, "retryable": False}]}]}, status=400
        )
        await eventually(lambda: daemon.find("component_down", account="demo"))
        for name in ("strict", "unreachable"):
            await eventually(partial(daemon.find, "component_down", destination=name))
        for path in _PAGES:
            shown[path] = (await daemon.get(path)).text
        await _run_commands(place, world, shown, "status")
        assert 0 == await daemon.stop()
        shown["stdout"], shown["log"] = daemon.stdout, daemon.stderr
    await _run_commands(place, world, shown, "status", "check")

    assert '"level":"debug"' in shown["log"]
    ids = {f"row id {number}": event["message"]["id"] for number, event in enumerate(world.hook.events)}
    planted = {**_SECRETS, **_CONTENTS, **ids} | {
        "basic proxy": base64.b64encode(f"me:{_SECRETS['proxy password']}".encode()).decode(),
        "basic URL": base64.b64encode(f"me:{_SECRETS['URL password']}".encode()).decode(),
        "local part": "planted.",
        "any": "lanted",
    }
    found = [
        f"{what} in {where}: …{text[max(0, text.index(value) - 200) : text.index(value) + 100]}…"
        for where, text in shown.items()
        for what, value in planted.items()
        if value in text
    ]
    assert [] == found


async def _run_commands(place: Path, world: World, shown: dict[str, str], *commands: str) -> None:
    for command in commands:
        for output in ("table", "json"):
            done = await run_command(place, command, "-c", CONFIG, "--output", output, env=world.env)
            assert "Traceback" not in done.stderr
            assert done.stdout, done.stderr
            shown[f"{command} {output} {len(shown)}"] = done.stdout + done.stderr


async def _wants_other_credentials(request: web.Request) -> web.Response:
    quoted = f"{_QUOTED} {request.headers.get('Proxy-Authorization')}"
    return web.Response(status=407, text=quoted, reason="Not " + _SECRETS["proxy password"])


def _poisoned(lines: list[bytes]) -> bool:
    return any(b"poison" in line for line in lines)
