"""The import contracts hold for the tree as it is, and each of them can fail."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The contract's name as lint-imports prints it -> the file that breaks it (created or added to) and what it then holds.
# All are planted into one copy, so that the graph is built once.
VIOLATIONS = {
    "A module imports only from lower floors, and has one": (
        "unfloored.py",
        "X = 1",
    ),
    "The contract and the rules know no I/O, no clock and no chance": (
        "domain/planted.py",
        "import random",
    ),
    "A format turns values into bytes and touches nothing else": ("formats/planted.py", "import time"),
    "Only the store speaks SQL": ("pipeline/planted_sql.py", "import sqlite3"),
    "Only httpclient, httpserver and simulator speak HTTP": ("sinks/planted_http.py", "import aiohttp"),
    "Only the kafka sink speaks to Kafka": ("sinks/planted_kafka.py", "import aiokafka"),
    "Requests are retried in httpclient only": ("mimecast/planted_retry.py", "import tenacity"),
    "Only telemetry and httpserver know Prometheus": ("pipeline/planted_metrics.py", "import prometheus_client"),
    "Only configuration classes know pydantic": ("pipeline/planted_model.py", "import pydantic"),
    "Only settings reads the file and the environment": ("mimecast/planted_file.py", "import yaml"),
    "Only the command line knows typer": ("app/planted_cli.py", "import typer"),
    "Only the API client and the sinks send requests": ("pipeline/planted_client.py", "import mcwatch.httpclient"),
    "Only sources talk to the API, settings configures it, app builds it": (
        "sinks/planted_api.py",
        "import mcwatch.mimecast",
    ),
    "Pipeline and store are put together in app and known to nobody else": (
        "httpserver/planted_store.py",
        "import mcwatch.store",
    ),
    "The simulator shares no code with the client it tests": (
        "simulator/planted_client.py",
        "import mcwatch.mimecast",
    ),
    "A source knows no other source": (
        "sources/planted_source.py",
        "import mcwatch.sources.message_finder",
    ),
    "A format knows no other format": ("formats/planted_format.py", "import mcwatch.formats.json"),
    "A store knows no other store": ("store/postgres/planted_store.py", "import mcwatch.store.sqlite"),
    "A sink knows no other sink": ("sinks/planted_sink.py", "import mcwatch.sinks.stdout"),
    "Components are taken from their package's union, never from their module": (
        "app/planted_registry.py",
        "import mcwatch.sinks.stdout",
    ),
    "No package has modules that need each other in a circle": (
        "domain/circle.py",
        "import mcwatch.domain.planted_circle",
    ),
}
_PARTNERS = {"domain/planted_circle.py": "import mcwatch.domain.circle"}


def lint_imports(directory: Path) -> dict[str, bool]:
    """Run the import linter in a directory; return for each contract whether it was kept."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-logo", "--no-cache"], cwd=directory, capture_output=True, text=True)
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)(?: .*)?$", done.stdout.replace("\x1b", ""), re.MULTILINE))
    assert verdicts, done.stdout + done.stderr
    return {name: verdict == "KEPT" for name, verdict in verdicts.items()}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the package and its contracts."""
    shutil.copytree(ROOT / "mcwatch", tmp_path / "mcwatch", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


@pytest.mark.timeout(30)
def test_contracts_hold() -> None:
    """Every import contract is kept by the tree."""
    broken = [name for name, kept in lint_imports(ROOT).items() if not kept]
    assert broken == []


@pytest.mark.timeout(30)
def test_contracts_can_fail(copy: Path) -> None:
    """A planted violation breaks the contract it was written against, for every contract there is."""
    for file, line in [*VIOLATIONS.values(), *_PARTNERS.items()]:
        path = copy / "mcwatch" / file
        assert not path.exists()
        path.write_text(f'"""Planted."""\n\n{line}\n', "utf-8")
    verdicts = lint_imports(copy)
    assert set(verdicts) == set(VIOLATIONS)
    assert [name for name, kept in verdicts.items() if kept] == []
