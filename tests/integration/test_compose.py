"""deploy/compose: the file is valid and hardened, and its configurations work together in the real programs."""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcwatch import __version__
from mcwatch.settings import load
from tests.acceptance.daemon import Daemon, Process
from tests.acceptance.waiting import eventually
from tests.architecture.examples import with_fake_secrets
from tests.fakes.http_server import free_port
from tests.integration.prometheus import DEPLOYED, ROOT, Prometheus

RequireProgram = Callable[[str], Path]
_COMPOSE = ROOT / "deploy" / "compose"
_CONFIGS = [_COMPOSE / "live" / "mcwatch.yaml", _COMPOSE / "demo" / "mcwatch.yaml"]
_DEMO = _CONFIGS[1]


def _file() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((_COMPOSE / "compose.yaml").read_text("utf-8"))
    return document


def _services() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = _file()["services"]
    return services


def _compose(require_program: RequireProgram, *words: str) -> str:
    """Run compose: Docker's plug-in where it is, else the older program of its own."""
    plugin = ["docker", "compose"]
    try:
        found = subprocess.run([*plugin, "version"], capture_output=True).returncode == 0
    except FileNotFoundError:
        found = False
    command = plugin if found else [str(require_program("docker-compose"))]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run([*command, *words], cwd=_COMPOSE, capture_output=True, text=True, env=kept)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("profile", ["live", "demo"])
def test_compose_takes_the_file(require_program: RequireProgram, profile: str) -> None:
    """Compose itself reads the file, with every variable from .env, and knows all services."""
    known = yaml.safe_load(_compose(require_program, "--profile", profile, "config"))
    expected = {name for name, service in _services().items() if profile in service.get("profiles", [profile])}
    assert expected <= known["services"].keys()
    assert known["services"]["mcwatch" if profile == "live" else "mcwatch-demo"]["image"] == f"mcwatch:{__version__}"


@pytest.mark.parametrize("name", sorted(_services()))
def test_services_are_hardened(name: str) -> None:
    """Every service has a read-only root, no capabilities, no way to gain any, bounded logs and a health check."""
    service = _services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["mode"] == "non-blocking"
    # The daemon's health check stands in the image.
    assert "healthcheck" in service or service["image"].startswith("mcwatch:")
    assert service.get("user") != "root"


@pytest.mark.parametrize("name", sorted(_services()))
def test_services_are_pinned_and_private(name: str) -> None:
    """Every image has a tag of a version, every port is published on loopback only, every file mounted is there."""
    service = _services()[name]
    assert re.fullmatch(r"[a-z/-]+:(v?\d[\w.-]*|\$\{MCWATCH_VERSION\})", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    sources = [volume.split(":")[0] for volume in service["volumes"]] if "volumes" in service else []
    for source in sources:
        assert (_COMPOSE / source).exists() if source.startswith(".") else source in _file()["volumes"]


def test_variables_have_values() -> None:
    """Every variable of the file stands in .env, and the version is that of the code."""
    lines = [line for line in (_COMPOSE / ".env").read_text("utf-8").splitlines() if re.match(r"[A-Z]", line)]
    variables = dict(line.split("=", 1) for line in lines)
    used = set(re.findall(r"\$\{([A-Z_]+)\}", (_COMPOSE / "compose.yaml").read_text("utf-8")))
    assert used - variables.keys() == set()
    assert variables["MCWATCH_VERSION"] == __version__


@pytest.mark.parametrize("config", _CONFIGS, ids=lambda path: path.parent.name)
def test_configurations_load(config: Path, tmp_path: Path) -> None:
    """Both configurations are accepted, and keep everything in the container's one writable place."""
    path, environ = with_fake_secrets(config, tmp_path)
    settings = load(path, environ)
    assert settings.http.listen == "0.0.0.0:9640"
    assert settings.store.url.reveal() == "sqlite:////var/lib/mcwatch/mcwatch.db"


def test_prometheus_takes_its_configuration(require_program: RequireProgram) -> None:
    """Promtool accepts what is mounted into Prometheus, and it names the daemon as compose does."""
    config = DEPLOYED / "prometheus.yml"
    done = subprocess.run([require_program("promtool"), "check", "config", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [job] = yaml.safe_load(config.read_text("utf-8"))["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["mcwatch:9640"]}]
    assert "mcwatch" in _services()["mcwatch-demo"]["networks"]["default"]["aliases"]


def _rsyslog_config(directory: Path, port: int) -> Path:
    """Write the syslog server's configuration with a directory and a loopback port of the test's own."""
    text = (_COMPOSE / "syslog" / "rsyslog.conf").read_text("utf-8").replace("/var/log/mimecast", str(directory))
    text = text.replace('port="5514"', f'address="127.0.0.1" port="{port}"')
    path = directory / "rsyslog.conf"
    path.write_text(text, "utf-8")
    return path


def test_rsyslog_takes_its_configuration(require_program: RequireProgram, tmp_path: Path) -> None:
    """Rsyslogd finds no fault with its configuration."""
    config = _rsyslog_config(tmp_path, free_port())
    done = subprocess.run([require_program("rsyslogd"), "-N1", "-f", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search("error|ignored|unknown", done.stderr) is None, done.stderr


@asynccontextmanager
async def _rsyslogd(program: Path, config: Path) -> AsyncIterator[None]:
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        program, "-n", "-i", "NONE", "-f", config, stdout=quiet, stderr=quiet
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


def _demo_config(directory: Path, simulator_port: int, syslog_port: int) -> dict[str, Any]:
    """Return the demo's configuration with its hosts and directory mapped to this machine's."""
    text = _DEMO.read_text("utf-8").replace("127.0.0.1:9650", f"127.0.0.1:{simulator_port}")
    text = text.replace("0.0.0.0:9640", "127.0.0.1:0").replace("syslog:5514", f"127.0.0.1:{syslog_port}")
    config: dict[str, Any] = yaml.safe_load(text.replace("/var/lib/mcwatch", str(directory)))
    return config


async def test_demo_lives(require_program: RequireProgram, tmp_path: Path) -> None:
    """The demo's parts, as configured: simulated mail reaches the syslog server, and Prometheus sees it pass."""
    place, logs = tmp_path / "place", tmp_path / "logs"
    for directory in (place, logs):
        directory.mkdir()
    simulator_port, syslog_port = free_port(), free_port()
    rsyslogd = _rsyslogd(require_program("rsyslogd"), _rsyslog_config(logs, syslog_port))
    async with (
        rsyslogd,
        Process(tmp_path, ("simulate", "--port", str(simulator_port))) as simulator,
    ):
        await eventually(lambda: "base_url" in simulator.stdout, 20.0)
        async with (
            Daemon(place, _demo_config(place, simulator_port, syslog_port)) as daemon,
            Prometheus(
                require_program("prometheus"), tmp_path / "prometheus", daemon.url.removeprefix("http://")
            ) as prometheus,
        ):
            events = logs / "events.log"
            await eventually(lambda: events.exists() and '"kind":"message.seen"' in events.read_text("utf-8"), 30.0)
            await eventually(lambda: '"kind":"message.seen"' in daemon.stdout, 30.0)

            async def ready() -> bool:
                return (await daemon.get("/readyz")).status == 200

            await eventually(ready, 30.0)
            await eventually(lambda: prometheus.query('mcwatch_events_delivered_total{destination="syslog"} > 0'))
            [up] = await prometheus.query('up{job="mcwatch"}')
            assert up["value"][1] == "1"
            assert await daemon.stop() == 0
