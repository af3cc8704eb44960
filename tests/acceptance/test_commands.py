"""The commands, as a person or a script uses them."""

import json
import signal
from pathlib import Path

import jsonschema
import pytest
import yaml

from mcwatch.domain.event import EventKind
from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, Process, fetch, run_command, write_config
from tests.acceptance.waiting import eventually
from tests.fakes.http_server import free_port

_EXAMPLE = Path(__file__).parents[2] / "config" / "mcwatch.example.yaml"


async def test_the_schema_describes_the_example(place: Path) -> None:
    """`schema` prints a valid JSON Schema that the documented example satisfies and a wrong key does not."""
    done = await run_command(place, "schema")
    assert 0 == done.code, done.stderr
    schema = json.loads(done.stdout)
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    example = yaml.safe_load(_EXAMPLE.read_text())
    assert [] == [error.message for error in validator.iter_errors(example)]
    assert list(validator.iter_errors(example | {"storage": {}}))


async def test_check_says_that_all_is_well(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """With everything in order `check` ends with 0 and says so as table and as JSON; it sends and stores nothing."""
    write_config(place, _config(simulator, webhook))
    simulator.add_mail(subject="not to be sent")
    done = await run_command(place, "check", "-c", CONFIG)
    assert 0 == done.code, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    for words in (["configuration"], ["account", "demo"], ["ok", "processing_queue"], ["ok", "message_finder"]):
        assert words in [line[: len(words)] for line in lines]
    assert "destination hook" in done.stdout
    assert "failed" not in done.stdout
    done = await run_command(place, "check", "-c", CONFIG, "--output", "json")
    assert 0 == done.code
    results = json.loads(done.stdout)
    assert all(result["ok"] for result in results)
    assert {"subject", "ok", "detail", "remedy"} == set(results[0])
    assert [] == webhook.lines
    assert [Path(CONFIG)] == [path.relative_to(place) for path in place.iterdir()]


async def test_check_names_the_account_and_the_destination_that_fail(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """A wrong secret and a dead receiver are each one failed line with a remedy, and the exit code is 1."""
    auth = {"type": "oauth2", "client_id": "demo", "client_secret": "mistyped"}
    config = configuration.whole(
        [configuration.account(simulator, auth=auth)],
        [configuration.hook(webhook.url), configuration.hook(f"http://127.0.0.1:{free_port()}", "dead")],
    )
    write_config(place, config)
    done = await run_command(place, "check", "-c", CONFIG, "--output", "json")
    assert 1 == done.code
    failed = {result["subject"]: result for result in json.loads(done.stdout) if not result["ok"]}
    assert "destination dead" in failed
    [account] = [subject for subject in failed if subject.startswith("account demo")][:1]
    assert "check client_id and client_secret" in failed[account]["remedy"]
    assert "mistyped" not in done.stdout + done.stderr
    done = await run_command(place, "check", "-c", CONFIG)
    assert 1 == done.code
    assert "→ check client_id and client_secret" in done.stdout


async def test_check_offline_asks_nobody(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """`check --offline` reads file and secrets and makes no request."""
    write_config(place, _config(simulator, webhook))
    done = await run_command(place, "check", "-c", CONFIG, "--offline")
    assert 0 == done.code, done.stderr
    assert 0 == simulator.stats.requests.total()
    assert 0 == webhook.requests


async def test_status_asks_the_daemon_and_else_the_store(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """The same figures come from the running daemon and, when it has ended, from its store; both say which it is."""
    config = _config(simulator, webhook)
    write_config(place, config)
    done = await run_command(place, "status", "-c", CONFIG)
    assert 1 == done.code
    assert "no daemon runs and there is no store" in done.complaints[0]
    simulator.add_mail(count=5)
    async with Daemon(place, config) as daemon:
        await eventually(lambda: len(webhook.lines) == 5)

        async def settled() -> bool:
            [destination] = (await daemon.status())["destinations"]
            return bool(destination["delivered"] == 5)

        await eventually(settled)
        live = await run_command(place, "status", "-c", CONFIG, "--output", "json")
        table = await run_command(place, "status", "-c", CONFIG)
        assert 0 == table.code
        assert "all is well" in table.stdout
        assert 0 == await daemon.stop()
    offline = await run_command(place, "status", "-c", CONFIG, "--output", "json")
    reports = [json.loads(live.stdout), json.loads(offline.stdout)]
    assert [True, False] == [report["live"] for report in reports]
    assert [5, 5] == [report["destinations"][0]["delivered"] for report in reports]
    assert [["demo"], ["demo"]] == [[account["name"] for account in report["accounts"]] for report in reports]
    table = await run_command(place, "status", "-c", CONFIG)
    assert 0 == table.code
    assert "no daemon is running" in table.stdout
    letters = await run_command(place, "dead-letters", "list", "-c", CONFIG)
    assert "no dead letters" in letters.stdout


@pytest.mark.parametrize("auth", ["oauth2", "hmac"])
async def test_simulate_prints_what_a_configuration_needs(place: Path, webhook: Hook, auth: str) -> None:
    """The URL and the credentials that `simulate` prints make a configuration that works; it ends with 0."""
    async with Process(place, ("simulate", "--port", "0", "--seed", "3")) as process:
        await eventually(lambda: process.stdout.count("auth:") == 2)
        printed = [yaml.safe_load(line) for line in process.stdout.splitlines()]
        [credentials] = [line["auth"] for line in printed if line.get("auth", {}).get("type") == auth]
        config = configuration.whole(
            [
                {
                    "name": "acme",
                    "api": {"base_url": printed[0]["base_url"], "auth": credentials},
                    "sources": [{"type": "processing_queue", "interval": "1s"}],
                }
            ],
            [configuration.hook(webhook.url)],
        )
        inner = place / "inner"
        inner.mkdir()
        async with Daemon(inner, config) as daemon:
            await eventually(lambda: webhook.lines)
            assert 0 == await daemon.stop()
        assert 0 == await process.stop()


async def test_the_demo_shows_all_kinds_of_event_and_its_page(place: Path) -> None:
    """Within half a minute `demo` has shown all five kinds; page, metrics and status answer; Ctrl-C ends it with 0."""
    url = f"http://127.0.0.1:{free_port()}"
    async with Process(place, ("demo", "--listen", url.removeprefix("http://"))) as demo:
        await eventually(lambda: f"{url}/" in demo.stderr)
        for path, expected in (("/", "<html"), ("/metrics", "mcwatch_"), ("/status", '"live":true')):
            answer = await fetch(url + path)
            assert 200 == answer.status
            assert expected in answer.text.replace(" ", "")

        def kinds() -> set[str]:
            return {json.loads(line)["kind"] for line in demo.stdout.split("\n")[:-1]}

        await eventually(lambda: kinds() == set(EventKind), 30.0)
        demo.signal(signal.SIGINT)
        assert 0 == await demo.exit_code()
        assert "Traceback" not in demo.stderr
        assert "warning" not in demo.stderr, demo.stderr
    assert {"stdout", "stderr"} == {path.name for path in place.iterdir()}, "it leaves nothing behind"


def _config(simulator: Simulator, webhook: Hook) -> Config:
    return configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
