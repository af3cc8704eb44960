"""Scrapes that are not the usual one: with TLS and a password, and of a thousand accounts."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import trustme
from aiohttp import web

from mcwatch.domain.event import FINDER, QUEUE
from mcwatch.domain.outbox import DestinationFigures, FeedFigures, StoreSnapshot
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.simulator import QuotaConfig, Simulator, SimulatorConfig
from mcwatch.telemetry.exposition import render
from mcwatch.telemetry.metrics import Metrics
from tests.acceptance import configuration
from tests.acceptance.daemon import Daemon
from tests.acceptance.waiting import eventually
from tests.fakes.http_server import HttpServer
from tests.integration.prometheus import Prometheus, dashboard_expressions, protected_job

RequireProgram = Callable[[str], Path]
_ACCOUNTS = 1_000
_MOST_SERIES = 30
"""What a panel can show legibly."""


async def test_a_protected_listener_is_scraped_as_the_example_says(
    tmp_path: Path, require_program: RequireProgram
) -> None:
    """With http.tls and http.basic_auth set, the job in the comment of the example reads the metrics."""
    program = require_program("prometheus")
    place = tmp_path / "place"
    place.mkdir()
    job = protected_job()
    authority = trustme.CA()
    issued = authority.issue_cert(job["tls_config"]["server_name"])
    issued.private_key_and_cert_chain_pem.write_to_path(place / "server.pem")
    authority.cert_pem.write_to_path(place / "ca.pem")
    (place / "password").write_text("only for Prometheus\n", "utf-8")
    job["tls_config"]["ca_file"] = str(place / "ca.pem")
    job["basic_auth"]["password_file"] = str(place / "password")
    protection = {
        "tls": {"cert_file": "server.pem"},
        "basic_auth": {"username": job["basic_auth"]["username"], "password": {"file": "password"}},
    }
    async with Simulator(SimulatorConfig(mails_per_minute=0.0, quota=QuotaConfig(calls=100_000))) as simulator:
        config = configuration.whole([configuration.account(simulator)], [configuration.file()], http=protection)
        async with (
            Daemon(place, config) as daemon,
            Prometheus(program, tmp_path / "prometheus", daemon.url.removeprefix("https://"), job) as prometheus,
        ):
            assert daemon.url.startswith("https://")
            await eventually(lambda: prometheus.query("mcwatch_outbox_limit_bytes"))
            assert [] == await prometheus.query("up == 0")


async def test_a_thousand_accounts_stay_legible(tmp_path: Path, require_program: RequireProgram) -> None:
    """No query of the dashboard fails or shows more lines than a panel holds, and many dead accounts are one alert."""
    program = require_program("prometheus")
    # Rendered once: how long that takes is not what is asked here.
    scrape = render(*_fleet(), datetime.now(UTC), "application/openmetrics-text")

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(body=scrape.body, headers={"Content-Type": scrape.content_type})

    async with (
        HttpServer(serve) as target,
        Prometheus(program, tmp_path / "prometheus", target.url.removeprefix("http://"), scrape_secs=3) as prometheus,
    ):
        await eventually(lambda: prometheus.query("up == 1"))
        await eventually(
            lambda: prometheus.query('ALERTS{alertname="McwatchManyAccountsDown", alertstate="firing"}'), 30.0
        )
        shown = {name: len(await prometheus.query(query)) for name, query in dashboard_expressions().items()}
        assert {} == {name: lines for name, lines in shown.items() if lines > _MOST_SERIES}


def _fleet() -> tuple[Metrics, StoreSnapshot]:
    """Return what a process with many accounts shows, a third of them down."""
    metrics = Metrics()
    names = [f"tenant-{number:04}" for number in range(_ACCOUNTS)]
    endpoints = [str(endpoint) for endpoint in Endpoint]
    metrics.initialise({name: [FINDER, QUEUE] for name in names}, ["siem"], endpoints)
    for number, name in enumerate(names):
        metrics.account_up.labels(name).set(number % 3 > 0)
        metrics.finder_lag_seconds.labels(name).set(number)
        metrics.finder_coverage_end_timestamp_seconds.labels(name).set(number)
        metrics.api_clock_skew_seconds.labels(name).set(number / 1000)
        for source in (FINDER, QUEUE):
            metrics.source_up.labels(name, source).set(number % 3 > 0)
            metrics.poll_last_success_timestamp_seconds.labels(name, source).set(number)
        for queue in ("processing", "bulk_processing"):
            metrics.queue_depth.labels(name, queue).set(number)
            metrics.queue_oldest_seconds.labels(name, queue).set(number)
        for endpoint in endpoints:
            metrics.api_quota_limit.labels(name, endpoint).set(50)
            metrics.api_quota_remaining.labels(name, endpoint).set(number % 50)
    feeds = [FeedFigures(name, source, 3, 1, 1, 1) for name in names for source in (FINDER, QUEUE)]
    return metrics, StoreSnapshot(
        feeds=feeds,
        destinations=[DestinationFigures("siem", 9, 9, {}, 0, 0, 0, None, 0, [])],
        undecodable_letters=dict.fromkeys(names, 1),
        outbox_bytes=0,
        outbox_limit_bytes=2**31,
        store_bytes=2**20,
        disk_free_bytes=2**40,
    )
