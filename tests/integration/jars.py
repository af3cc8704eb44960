"""Servers written in Java: their jars come from Maven Central, named by a pom.xml beside the tests that need them."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final, NoReturn

import pytest

_BUILD: Final = Path(__file__).parents[2] / "build"
_FETCH_SECS: Final = 540.0


def require_jars(pom: Path, name: str) -> Path:
    """Return the directory of a server's jars, ``build/<name>``, fetched if they must be.

    Without Java (17 or newer, with its compiler), Maven or the jars the test is skipped, or fails where components are
    required.
    """
    missing = [program for program in ("java", "javac", "mvn") if shutil.which(program) is None]
    if missing:
        _lacks(f"{' and '.join(missing)} not installed (Debian: default-jdk-headless, maven)")
    jars = _BUILD / name
    jars.mkdir(parents=True, exist_ok=True)
    with (jars / "lock").open("w") as lock:
        # Another worker of pytest-xdist may be fetching them.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (jars / "complete").exists():
            _fetch(pom, jars)
    return jars


def _fetch(pom: Path, jars: Path) -> None:
    command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
    try:
        done = subprocess.run(
            [*command, f"-DoutputDirectory={jars}"], capture_output=True, text=True, timeout=_FETCH_SECS, check=False
        )
        problem = done.stdout[-500:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"mvn took longer than {_FETCH_SECS:.0f} s"
    if not problem:
        (jars / "complete").touch()
        return
    _lacks(f"the jars of {jars.name} could not be fetched: {problem}")


def _lacks(text: str) -> NoReturn:
    if os.environ.get("MCWATCH_REQUIRE_COMPONENTS"):
        pytest.fail(text)
    pytest.skip(text)
