"""The alert rules by Prometheus' own tools: valid, and each tried firing and not firing."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.integration.prometheus import DEPLOYED, protected_job

RequireProgram = Callable[[str], Path]
_TESTS = sorted((DEPLOYED / "tests").glob("*.yaml"))


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=50)


@pytest.mark.parametrize("path", _TESTS, ids=lambda path: path.stem)
def test_rules_pass_their_tests(path: Path, require_program: RequireProgram) -> None:
    """Every expectation about alerts, with their labels and texts, is met by promtool."""
    done = _run(require_program("promtool"), "test", "rules", path)
    assert 0 == done.returncode, done.stdout + done.stderr


def test_shorter_waits_are_found(tmp_path: Path, require_program: RequireProgram) -> None:
    """The tests look just before an alert fires: with every `for` halved, each alert that has one fails them."""
    promtool = require_program("promtool")
    (tmp_path / "tests").mkdir()
    for path in _TESTS:
        (tmp_path / "tests" / path.name).write_bytes(path.read_bytes())
    rules = (DEPLOYED / "mcwatch.rules.yaml").read_text("utf-8")
    (tmp_path / "mcwatch.rules.yaml").write_text(re.sub(r"\bfor: (\d+)m", _half, rules), "utf-8")
    failures = [_run(promtool, "test", "rules", tmp_path / "tests" / path.name).stderr for path in _TESTS]
    found = set(re.findall(r"alertname: (\w+)", "\n".join(failures)))
    with_for = {rule["alert"] for group in yaml.safe_load(rules)["groups"] for rule in group["rules"] if "for" in rule}
    assert with_for == found


def _half(match: re.Match[str]) -> str:
    return f"for: {int(match[1]) * 60 // 2}s"


def test_the_scrape_example_is_valid(require_program: RequireProgram) -> None:
    """Prometheus accepts the scrape example with the rules it names."""
    done = _run(require_program("promtool"), "check", "config", DEPLOYED / "prometheus.yml")
    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_protected_scrape_example_is_valid(tmp_path: Path, require_program: RequireProgram) -> None:
    """So is the job with TLS and a password, once its files exist."""
    (tmp_path / "ca.pem").touch()
    (tmp_path / "password").touch()
    job = protected_job()
    job["tls_config"]["ca_file"] = str(tmp_path / "ca.pem")
    job["basic_auth"]["password_file"] = str(tmp_path / "password")
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}), "utf-8")
    done = _run(require_program("promtool"), "check", "config", "--syntax-only", tmp_path / "prometheus.yml")
    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_alertmanager_example_is_valid(require_program: RequireProgram) -> None:
    """Alertmanager accepts the example of grouping and inhibition."""
    done = _run(require_program("amtool"), "check-config", DEPLOYED / "alertmanager.example.yml")
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "on-call"), ("warning", "security-operations")])
def test_severities_reach_their_receivers(severity: str, receiver: str, require_program: RequireProgram) -> None:
    """A critical alert goes to those on call, a warning to those who look tomorrow."""
    example = DEPLOYED / "alertmanager.example.yml"
    done = _run(
        require_program("amtool"), "config", "routes", "test", f"--config.file={example}", f"severity={severity}"
    )
    assert receiver == done.stdout.strip(), done.stderr
