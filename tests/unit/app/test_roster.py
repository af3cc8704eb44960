"""Exchanging accounts and destinations while the daemon runs."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mcwatch.app.wiring import Application
from mcwatch.domain.errors import ConfigError
from mcwatch.settings import Settings
from mcwatch.telemetry.exposition import render
from mcwatch.telemetry.health import ComponentKind
from tests.fakes.clock import FakeClock

_AUTH = {"type": "oauth2", "client_id": "id", "client_secret": "secret"}


def _account(name: str, *sources: str, **api: object) -> dict[str, Any]:
    return {
        "name": name,
        "api": {"base_url": "http://127.0.0.1:9", "auth": _AUTH, **api},
        "sources": [{"type": source} for source in sources or ("processing_queue",)],
    }


def _file(name: str, **more: object) -> dict[str, Any]:
    return {"name": name, "sink": {"type": "file", "path": f"{name}.ndjson"}, **more}


def _settings(place: Path, accounts: list[dict[str, Any]], destinations: list[dict[str, Any]]) -> Settings:
    store = {"url": f"sqlite:///{place / 'test.db'}", "reserve": 0}
    http = {"listen": "127.0.0.1:0"}
    return Settings.model_validate({"http": http, "store": store, "accounts": accounts, "destinations": destinations})


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    """A daemon with an account and a destination, whose loops are not started."""
    settings = _settings(tmp_path, [_account("a")], [_file("out")])
    async with Application(settings, clock=FakeClock(), rng=random.Random(1)) as running:
        yield running


async def _exchange(application: Application, settings: Settings) -> None:
    parts = application.parts
    prepared = await parts.prepare(settings, parts.changes(settings))
    for retired in parts.withdraw(prepared):
        await retired.close()
    parts.install(prepared)


def _text(application: Application) -> str:
    return render(application.metrics, None, application.clock.now(), "").body.decode()


async def test_what_is_equal_is_not_touched(application: Application, tmp_path: Path) -> None:
    """Parts whose configuration reads the same stay the very same, secrets in place and all."""
    account, dispatcher = application.parts.accounts["a"], application.parts.dispatchers["out"]
    await _exchange(application, _settings(tmp_path, [_account("a"), _account("b")], [_file("out"), _file("new")]))
    assert account is application.parts.accounts["a"]
    assert dispatcher is application.parts.dispatchers["out"]
    assert ["a/processing_queue", "b/processing_queue"] == list(application.parts.pollers)
    assert ["out", "new"] == list(application.parts.dispatchers)
    assert {"a", "b"} == set(application.parts.account_names.values())


async def test_what_is_gone_leaves_no_trace_but_its_events(application: Application, tmp_path: Path) -> None:
    """Metrics, health and the status forget it; its name stays, for events of it may still wait."""
    await _exchange(application, _settings(tmp_path, [_account("b")], [_file("new")]))
    assert 'account="a"' not in _text(application)
    assert 'destination="out"' not in _text(application)
    accounts = [one.component.name for one in application.health.conditions(ComponentKind.ACCOUNT)]
    assert ["b"] == accounts
    report = await application.report()
    assert (["b"], ["new"]) == ([one.name for one in report.accounts], [one.name for one in report.destinations])
    assert {"a", "b"} == set(application.parts.account_names.values())


async def test_a_source_that_is_gone_is_forgotten(application: Application, tmp_path: Path) -> None:
    """An account that changes one feed for the other shows no figures of the first any more."""
    await _exchange(application, _settings(tmp_path, [_account("a", "message_finder")], [_file("out")]))
    assert ["a/message_finder"] == list(application.parts.pollers)
    assert 'source="processing_queue"' not in _text(application)
    assert "queue_polls_skipped_total{" not in _text(application)
    assert ["message_finder"] == [one.component.name for one in application.health.conditions(ComponentKind.SOURCE)]


async def test_all_that_cannot_be_opened_is_named_and_nothing_kept(application: Application, tmp_path: Path) -> None:
    """Problems of several parts come together, and the parts that were fine are taken back too."""
    bad = _account("b", tls={"ca_file": str(tmp_path / "nowhere.pem")})
    redacted = _file("new", redact={"key": {"file": str(tmp_path / "no-key")}, "fields": {"subject": "hash"}})
    settings = _settings(tmp_path, [_account("a"), _account("c"), bad], [_file("out"), redacted])
    with pytest.raises(ConfigError) as raised:
        await application.parts.prepare(settings, application.parts.changes(settings))
    assert ["accounts.b.api.tls", "destinations.new.redact.key"] == [
        problem.partition(": ")[0] for problem in raised.value.problems
    ]
    assert ["a"] == [one.component.name for one in application.health.conditions(ComponentKind.ACCOUNT)]
    assert 'account="c"' not in _text(application)
