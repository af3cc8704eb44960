"""Exchanging accounts and destinations while the daemon runs."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mcwatch.app.wiring import Application
from mcwatch.domain.errors import ConfigError, StoreUnavailable
from mcwatch.settings import Settings
from mcwatch.telemetry.exposition import render
from mcwatch.telemetry.health import Component, ComponentKind
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
    retired = parts.exchange(prepared)
    parts.show(prepared, retired)
    for part in retired:
        await parts.see_off(part)


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


async def test_an_account_with_fewer_sources_is_shown_as_up_once_it_works(
    application: Application, tmp_path: Path
) -> None:
    """Its figures begin anew, and so does what is known of it: a success is told to them again."""
    both = ("processing_queue", "message_finder")
    await _exchange(application, _settings(tmp_path, [_account("a", *both)], [_file("out")]))
    health, parts = application.health, [Component.of_account("a"), Component.of_source("a", "processing_queue")]
    for component in parts:
        health.up(component)
    await _exchange(application, _settings(tmp_path, [_account("a")], [_file("out")]))
    assert 'mcwatch_account_up{account="a"} 0.0' in _text(application)
    for component in parts:
        health.up(component)
    assert 'mcwatch_account_up{account="a"} 1.0' in _text(application)
    assert 'mcwatch_source_up{account="a",source="processing_queue"} 1.0' in _text(application)


async def test_a_destination_that_changes_is_as_if_never_tried(application: Application, tmp_path: Path) -> None:
    """What was wrong before says nothing of it now: with nothing to send, nobody would find out."""
    application.health.down(Component.of_destination("out"), "refused")
    await _exchange(application, _settings(tmp_path, [_account("a")], [_file("out", start="earliest")]))
    assert application.health.condition(Component.of_destination("out")).up is None
    assert 'mcwatch_destination_up{destination="out"} 1.0' in _text(application)


async def test_a_reload_that_fails_late_takes_no_destination_from_the_store(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at work is not marked as gone, which would release it in the end; one that did not come to be is."""

    async def channel(_name: str) -> None:
        raise StoreUnavailable("the disk hangs")

    with monkeypatch.context() as patch:
        patch.setattr(application.store, "channel", channel)
        settings = _settings(tmp_path, [_account("a")], [_file("new")])
        with pytest.raises(StoreUnavailable):
            await application.parts.prepare(settings, application.parts.changes(settings))
    later = application.clock.now() + timedelta(days=30)
    while await application.store.expire(later):
        pass
    assert 1 == len(await application.store.positions("out"))
    assert {} == await application.store.positions("new")


async def test_a_destination_that_is_gone_is_told_once(application: Application, tmp_path: Path) -> None:
    """The store remembers it for long; a log line at each reload would be noise. Put back and gone again is news."""
    both = _settings(tmp_path, [_account("a")], [_file("out"), _file("other")])
    without = _settings(tmp_path, [_account("a")], [_file("out")])
    with capture_logs() as logs:
        for settings in (both, without, without, both, without):
            await _exchange(application, settings)
    assert ["other", "other"] == [line["destination"] for line in logs if line["event"] == "destination_gone"]


async def test_what_a_command_counts_for_an_account_that_is_gone_is_forgotten_with_it(
    application: Application, tmp_path: Path
) -> None:
    """A backfill that is at work when its account goes ends with the client it began with, and leaves no series."""
    await _exchange(application, _settings(tmp_path, [_account("a", "message_finder")], [_file("out")]))
    parts = application.parts
    settings = _settings(tmp_path, [_account("b")], [_file("out")])
    prepared = await parts.prepare(settings, parts.changes(settings))
    [retired] = parts.exchange(prepared)
    parts.show(prepared, [retired])
    assert retired.finder is not None
    async with asyncio.TaskGroup() as group:
        async with retired.finder.turn:
            leaving = group.create_task(parts.see_off(retired))
            await asyncio.sleep(0)
            application.metrics.events_total.labels("a", "message.seen").inc()
        await leaving
    assert 'account="a"' not in _text(application)


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
