"""The unit file before systemd's own tools: it is valid, tight, and what it forbids is nothing the daemon needs."""

import os
import re
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from mcwatch.cli.durations import parse_duration
from mcwatch.settings import load
from tests.fakes.unit_file import DIRECTORY, DOCUMENT, PROGRAM, UNIT, option, options

MOST_EXPOSURE = 1.2
"""docs/INSTALL-SYSTEMD.md names it."""


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Give the unit with a program that exists."""
    program = tmp_path / "mcwatch"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace(PROGRAM, str(program)), "utf-8")
    return unit


def test_the_unit_is_valid(require_program: Callable[[str], Path], installed: Path) -> None:
    """systemd-analyze verify finds no unknown option, no wrong value and no program that is missing."""
    assert "" == _run(require_program("systemd-analyze"), "verify", "--man=no", installed)


def test_the_unit_is_tight(require_program: Callable[[str], Path], installed: Path) -> None:
    """systemd-analyze security rates its exposure as the documentation says."""
    threshold = f"--threshold={round(MOST_EXPOSURE * 10)}"
    report = _run(require_program("systemd-analyze"), "security", "--offline=true", threshold, "--no-pager", installed)
    assert f"Overall exposure level for mcwatch.service: {MOST_EXPOSURE} OK" in report
    assert f"Overall exposure level for mcwatch.service: {MOST_EXPOSURE} OK" in DOCUMENT.read_text("utf-8")


def test_the_times_fit_each_other() -> None:
    """The end has more time than draining takes, and a restart is not tried for what it cannot mend."""
    (drain,) = re.findall(r"--drain-timeout (\S+)", option("ExecStart"))
    stop = option("TimeoutStopSec")
    assert parse_duration("TimeoutStopSec", stop) >= parse_duration("--drain-timeout", drain) + 30
    assert "15min" == option("TimeoutStartSec")
    assert "78" == option("RestartPreventExitStatus")
    assert ["on-failure"] == options("Restart")


def test_user_and_directories_are_made(require_program: Callable[[str], Path], tmp_path: Path) -> None:
    """The files for systemd's tools make the user, and directories that root owns and the service may read."""
    if os.geteuid() != 0:
        text = "only root can make users and give files away"
        pytest.fail(text) if os.environ.get("MCWATCH_REQUIRE_COMPONENTS") else pytest.skip(text)
    (tmp_path / "etc" / "mcwatch" / "secrets").mkdir(parents=True)
    secret = tmp_path / "etc" / "mcwatch" / "secrets" / "acme"
    secret.write_text("s3cret")
    secret.chmod(0o644)
    _run(require_program("systemd-sysusers"), f"--root={tmp_path}", DIRECTORY / "mcwatch.sysusers")
    _run(require_program("systemd-tmpfiles"), f"--root={tmp_path}", "--create", DIRECTORY / "mcwatch.tmpfiles")
    (user,) = [line for line in (tmp_path / "etc" / "passwd").read_text().splitlines() if line.startswith("mcwatch:")]
    _, _, uid, gid, _, home, shell = user.split(":")
    assert ("/var/lib/mcwatch", "/usr/sbin/nologin") == (home, shell)
    assert 0 < int(uid) < 1000
    for path, mode in ((secret, 0o640), (secret.parent, 0o2750), (secret.parent.parent, 0o2750)):
        found = path.stat()
        assert (0, int(gid), mode) == (found.st_uid, found.st_gid, found.st_mode & 0o7777), path
    assert option("ConfigurationDirectoryMode") == "2750", "systemd warns when it differs"


def test_the_configuration_in_the_documentation_is_valid(tmp_path: Path) -> None:
    """With its secrets in files, as the page has it."""
    (block,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    (tmp_path / "acme-id").write_text("id\n")
    (tmp_path / "acme-secret").write_text("s3cret\n")
    config = tmp_path / "mcwatch.yaml"
    config.write_text(textwrap.dedent(block).replace("/etc/mcwatch/secrets", str(tmp_path)), "utf-8")
    settings = load(config)
    assert option("StateDirectory") in str(settings.store.path)
    assert ["siem", "archive"] == [one.name for one in settings.destinations]
