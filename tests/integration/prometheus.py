"""A real Prometheus on a loopback port, with the scrape example and the rules of deploy/ made faster."""

import asyncio
import json
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

from tests.acceptance.waiting import eventually
from tests.fakes.http_server import free_port

ROOT = Path(__file__).parents[2]
DEPLOYED = ROOT / "deploy" / "prometheus"
RULES = DEPLOYED / "mcwatch.rules.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "mcwatch.json"

Json = dict[str, Any]
_VARIABLES = {
    "$instance": ".*",
    "$account": ".*",
    "$destination": ".*",
    "$__rate_interval": "10s",
    "$__range": "1m",
}


def impatient(rules: str) -> str:
    """Return the rules with every `for` cut to two seconds."""
    return re.sub(r"\bfor: \w+", "for: 2s", rules)


def protected_job() -> Json:
    """Return the job of the scrape example that is commented out."""
    lines = (DEPLOYED / "prometheus.yml").read_text("utf-8").splitlines()
    [begin] = [number for number, line in enumerate(lines) if line.startswith("  # - job_name")]
    [job] = yaml.safe_load("\n".join(line.replace("  # ", "", 1) for line in lines[begin:]))
    found: Json = job
    return found


def panels() -> list[Json]:
    """Return the panels of the dashboard that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"] if panel["type"] != "row"]


def dashboard_expressions() -> dict[str, str]:
    """Return the expressions of the dashboard by panel and letter, with all variables at All."""
    found = {}
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in _VARIABLES.items():
                expression = expression.replace(name, value)
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


class Prometheus:
    """One Prometheus that scrapes and judges often; ``job`` takes the place of the example's.

    Leaving the context ends it.
    """

    def __init__(
        self,
        program: Path,
        directory: Path,
        targets: str | Sequence[str],
        job: Mapping[str, object] | None = None,
        *,
        scrape_secs: float = 0.5,
    ) -> None:
        directory.mkdir()
        self._program = program
        self._directory = directory
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None
        config: Json = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text("utf-8"))
        interval = f"{round(scrape_secs * 1000)}ms"
        config["global"] = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
        chosen = dict(job or config["scrape_configs"][0])
        chosen.pop("scrape_timeout", None)
        chosen["static_configs"] = [{"targets": [targets] if isinstance(targets, str) else list(targets)}]
        config["scrape_configs"] = [chosen]
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
        (directory / RULES.name).write_text(impatient(RULES.read_text("utf-8")), "utf-8")

    async def __aenter__(self) -> Self:
        with (self._directory / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._program,
                f"--config.file={self._directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--log.level=warn",
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            await eventually(self._ready)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    @property
    def log(self) -> str:
        """Its warnings and errors."""
        return (self._directory / "log").read_text("utf-8")

    async def ask(self, path: str, **params: str) -> Any:  # noqa: ANN401 - whatever the API answers
        """Return ``data`` of an answer of its API; fails with its own words."""
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10.0)) as session,
            session.get(f"http://127.0.0.1:{self._port}/api/v1/{path}", params=params) as response,
        ):
            answer = await response.json()
        assert answer["status"] == "success", answer
        return answer["data"]

    async def query(self, expression: str) -> list[Json]:
        """Return the samples of an expression."""
        found: list[Json] = (await self.ask("query", query=expression))["result"]
        return found

    async def alerts(self, state: str) -> set[str]:
        """Return the names of the alerts in a state, pending or firing."""
        return {
            alert["labels"]["alertname"] for alert in (await self.ask("alerts"))["alerts"] if alert["state"] == state
        }

    async def was_pending(self, name: str) -> bool:
        """Tell whether an alert has waited for its `for`."""
        return bool(await self.query(f'present_over_time(ALERTS{{alertname="{name}", alertstate="pending"}}[2m])'))

    async def _ready(self) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            raise RuntimeError(self.log)
        try:
            await self.ask("status/runtimeinfo")
        except aiohttp.ClientError:
            return False
        return True
