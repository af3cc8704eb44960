"""What goes wrong after the start: the process stays, says it once with the remedy, and recovers by itself."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from mcwatch.simulator import AccountConfig, Simulator, SimulatorConfig
from tests.acceptance import configuration
from tests.acceptance.conftest import PLENTY
from tests.acceptance.counterparts import Front, Hook, SyslogServer
from tests.acceptance.daemon import Daemon, LogLine, run_command
from tests.acceptance.waiting import eventually

_PROBE_SECS = 45.0
"""What is down for a reason that waiting does not cure is tried again after 30 s."""


@pytest.fixture
async def front(simulator: Simulator) -> AsyncIterator[Front]:
    """A front before the API whose answers the test may replace."""
    async with Front(simulator.url) as running:
        yield running


def _lines(daemon: Daemon, event: str, fields: dict[str, str]) -> list[LogLine]:
    """Return the lines on one component; those on an account are its sources', each of which has at most one."""
    lines = daemon.find(event, **fields)
    named = [line.get("source") for line in lines]
    assert len(named) == len(set(named))
    return lines


async def _arrived(webhook: Hook, subject: str) -> None:
    """Wait for the event of a mail."""
    await eventually(lambda: subject in webhook.subjects())


async def _down(daemon: Daemon, component: str) -> LogLine:
    """Wait until a component is down everywhere it shows, and return the one line of the log that says so."""
    kind, *names = component.split(" ")
    fields = {"account": names[0], "source": names[1]} if kind == "source" else {kind: names[0]}

    async def listed() -> bool:
        body = (await daemon.get("/readyz")).json()
        return component in [one["component"] for one in body["down"]]

    await eventually(listed)
    warning, *_ = _lines(daemon, "component_down", fields)
    assert "warning" == warning["level"]
    assert (await daemon.get("/healthz")).status == 200
    assert not (await daemon.status())["healthy"]
    assert 0 == (await daemon.metrics()).value(f"{kind}_up", **({kind: names[0]} if kind != "source" else fields))
    return warning


async def _recovered(daemon: Daemon, component: str, within_secs: float = 15.0) -> None:
    """Wait until a component is up again and the log has said so once."""
    kind, name = component.split(" ")

    async def recovered() -> bool:
        return not (await daemon.get("/readyz")).json()["down"]

    await eventually(recovered, within_secs)
    down, recovered_lines = (_lines(daemon, f"component_{what}", {kind: name}) for what in ("down", "recovered"))
    assert len(down) == len(recovered_lines) >= 1
    assert 1 == (await daemon.metrics()).value(f"{kind}_up", **{kind: name})
    assert (await daemon.status())["healthy"]


async def test_an_api_out_of_reach_is_said_once_and_read_when_it_is_back(
    place: Path, simulator: Simulator, front: Front, webhook: Hook
) -> None:
    """While nobody listens at the API's address the daemon stays, and goes on by itself when somebody does."""
    await front.stop()
    config = configuration.whole(
        [configuration.account(simulator, base_url=front.url)], [configuration.hook(webhook.url)]
    )
    simulator.add_mail(subject="waited for")
    async with Daemon(place, config) as daemon:
        warning = await _down(daemon, "account demo")
        assert "127.0.0.1" in warning["reason"]
        assert (await daemon.get("/readyz")).status == 200, "tried, if in vain"
        await front.start()
        await _recovered(daemon, "account demo")
        await _arrived(webhook, "waited for")
        assert 0 == await daemon.stop()


async def test_an_api_that_answers_html_is_said_once_and_read_when_it_is_back(
    place: Path, simulator: Simulator, front: Front, webhook: Hook
) -> None:
    """A proxy's page in place of the API's answer is an outage like any other."""
    page = "<html><h1>Sign in</h1></html>"
    front.instead = lambda request: (
        web.Response(text=page, content_type="text/html") if request.path.startswith("/api") else None
    )
    config = configuration.whole(
        [configuration.account(simulator, base_url=front.url)], [configuration.hook(webhook.url)]
    )
    simulator.add_mail(subject="behind a page")
    async with Daemon(place, config) as daemon:
        warning = await _down(daemon, "account demo")
        assert warning["reason"].endswith(": the answer is HTML or XML")
        assert "Sign in" not in daemon.stderr
        front.instead = lambda _request: None
        await _recovered(daemon, "account demo")
        await _arrived(webhook, "behind a page")
        assert 0 == await daemon.stop()


async def test_a_certificate_for_another_name_is_said_with_the_remedy(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """An API whose certificate names another host is not talked to; name and remedy are in the log."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(place / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.services.mimecast.com").configure_cert(tls)
    async with Front(simulator.url, tls) as front:
        config = configuration.whole(
            [configuration.account(simulator, base_url=front.url, tls={"ca_file": "ca.pem"})],
            [configuration.hook(webhook.url)],
        )
        async with Daemon(place, config) as daemon:
            warning = await _down(daemon, "account demo")
            assert "certificate" in warning["reason"], warning
            assert warning["remedy"]
            assert 0 == simulator.stats.requests.total(), "no credential went there"
            assert 0 == await daemon.stop()


async def test_what_only_an_operator_can_mend_is_said_with_the_remedy_and_tried_again(
    place: Path, webhook: Hook
) -> None:
    """Wrong credentials, expired keys and a refused hook are down with their remedies; mended, all recover alone.

    Another account and another destination go on meanwhile.
    """
    names = ("good", "wrong", "expired")
    world = SimulatorConfig(
        accounts=tuple(AccountConfig(name) for name in names), mails_per_minute=0.0, history_secs=0.0, quota=PLENTY
    )
    refuses = [True]
    async with Simulator(world) as simulator, Front(simulator.url) as front, Hook() as strict:
        strict.refuse = lambda _lines: web.Response(status=401) if refuses[0] else None
        (place / "secret").write_text("mistyped")
        tenant = world.accounts[2]
        keys = {name: getattr(tenant, name) for name in ("app_id", "app_key", "access_key", "secret_key")}
        oauth2 = {"type": "oauth2", "client_id": "wrong", "client_secret": {"file": "secret"}}
        front.instead = lambda _request: web.json_response(
            {"fail": [{"errors": [{"code": "err_xdk_binding_expired", "message": "expired", "retryable": False}]}]},
            status=418,
        )
        config = configuration.whole(
            [
                configuration.account(simulator, "good"),
                configuration.account(simulator, "wrong", auth=oauth2),
                configuration.account(simulator, "expired", auth={"type": "hmac", **keys}, base_url=front.url),
            ],
            [configuration.hook(webhook.url), configuration.hook(strict.url, "strict")],
        )
        for name in names:
            simulator.add_mail(name, subject=f"of {name}")
        async with Daemon(place, config) as daemon:
            warning = await _down(daemon, "account wrong")
            assert "client_id or client_secret" in warning["reason"]
            assert "check client_id and client_secret" == warning["remedy"]
            warning = await _down(daemon, "account expired")
            assert "expired" in warning["reason"]
            assert "make new keys" in warning["remedy"]
            warning = await _down(daemon, "destination strict")
            assert "401" in warning["reason"]
            assert "check the credential" in warning["remedy"]
            await _arrived(webhook, "of good")
            tried = simulator.stats.requests["token"], strict.requests, front.answered_instead
            shown = await run_command(place, "status", "-c", "mcwatch.yaml")
            assert "check client_id and client_secret" in shown.stdout
            assert "make new keys" in shown.stdout
            assert "check the credential" in shown.stdout

            (place / "secret").write_text("wrong-secret\n")
            front.instead = lambda _request: None
            refuses[0] = False
            await eventually(lambda: {f"of {name}" for name in names} == set(strict.subjects()), _PROBE_SECS)
            assert {f"of {name}" for name in names} == set(webhook.subjects())
            for component in ("account wrong", "account expired", "destination strict"):
                await _recovered(daemon, component)
            # Each of two sources tries when its time has come.
            assert simulator.stats.requests["token"] <= tried[0] + 2, "not tried before its time"
            letters = await daemon.metrics()
            assert 0 == letters.value("dead_letters", destination="strict"), "no event is to blame for a credential"
            assert 0 == await daemon.stop()


async def test_a_sink_out_of_reach_gets_everything_in_order_when_it_is_back(
    place: Path, simulator: Simulator, webhook: Hook, syslog_server: SyslogServer
) -> None:
    """What a syslog server and a hook missed while they were away arrives in the order in which another one got it."""
    await syslog_server.stop()
    async with Hook() as absent:
        await absent.stop()
        config = configuration.whole(
            [configuration.account(simulator)],
            [
                configuration.hook(webhook.url),
                configuration.hook(absent.url, "absent", batch={"max_events": 3}),
                configuration.syslog(syslog_server.port),
            ],
        )
        async with Daemon(place, config) as daemon:
            for number in range(10):
                simulator.add_mail(subject=f"number {number}")
                await _arrived(webhook, f"number {number}")
            for name in ("absent", "syslog"):
                warning = await _down(daemon, f"destination {name}")
                assert "127.0.0.1" in warning["reason"]
            assert 10 == (await daemon.metrics()).value("outbox_events", destination="syslog")
            await absent.start()
            await syslog_server.start()
            await eventually(lambda: 10 == len(absent.lines) == len(syslog_server.lines), _PROBE_SECS)
            assert webhook.event_ids == absent.event_ids
            assert webhook.event_ids == syslog_server.event_ids
            for name in ("absent", "syslog"):
                await _recovered(daemon, f"destination {name}")
            (await daemon.metrics()).assert_conserved()
            assert 0 == await daemon.stop()


async def test_one_refused_event_becomes_a_dead_letter_and_its_neighbours_arrive(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """A hook that answers 400 to one event of a batch gets all others; the one is listed with the reason."""
    webhook.refuse = lambda lines: web.Response(status=400) if any(b"poison" in line for line in lines) else None
    for number in range(20):
        simulator.add_mail(subject="poison" if number == 7 else f"number {number}")
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    async with Daemon(place, config) as daemon:
        await eventually(lambda: 19 == len(webhook.lines))
        assert {f"number {number}" for number in range(20)} - {"number 7"} == set(webhook.subjects())
        [error] = await eventually(lambda: daemon.find("dead_letter"))
        assert "error" == error["level"]
        for running in (True, False):
            done = await run_command(place, "dead-letters", "list", "-c", "mcwatch.yaml")
            assert 0 == done.code, done.stderr
            assert error["event_id"] in done.stdout
            assert "answered 400" in done.stdout
            assert "poison" not in done.stdout
            if running:
                scrape = await daemon.metrics()
                scrape.assert_conserved()
                assert 1 == scrape.value("events_dead_lettered_total", destination="hook", reason="refused")
                assert 0 == await daemon.stop()
