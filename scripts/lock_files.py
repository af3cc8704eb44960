"""Write the lock files, or check that they are what the dependencies in pyproject.toml lead to.

Usage: python -m scripts.lock_files [--check | --upgrade]

A check resolves each lock file again, starting from its own pins, and compares names and versions. That needs no
network while uv's cache holds the metadata; where neither cache nor network can answer, the direct requirements are
still compared with the pins, and a warning says that the rest was not.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

_COMPILE = (
    "pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11".split()
)
_GROUPS: dict[str, list[str]] = {
    "run": [],
    "extras": [],
    "build": ["build"],
    "dev": ["dev"],
    "counterparts": ["counterparts"],
    "appinspect": ["appinspect"],
}
"""The dependency groups in each file of requirements/."""
_WITH_EXTRAS = frozenset({"extras", "dev"})
"""The files that hold what is optional at run time as well."""
_ALONE = frozenset({"build", "counterparts", "appinspect"})
"""The files that do not hold the project's own dependencies."""


def lock(name: str, output: Path, *options: str) -> bool:
    """Resolve one lock file into ``output``, keeping its pins where they still fit; return whether uv could."""
    uv = str(Path(sys.executable).with_name("uv"))
    inputs = [] if name in _ALONE else ["pyproject.toml"]
    inputs += ["--all-extras"] if name in _WITH_EXTRAS else []
    inputs += [word for group in _GROUPS[name] for word in ("--group", group)]
    done = subprocess.run([uv, *_COMPILE, *options, *inputs, "-o", str(output)], capture_output=True, text=True)
    if done.returncode and "--offline" not in options:
        print(done.stderr, file=sys.stderr)
    return done.returncode == 0


def pins(path: Path) -> set[tuple[str, str, str]]:
    """Return name, version and environment marker of everything a lock file pins."""
    found = re.finditer(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; (.*?))? ?\\?$", path.read_text("utf-8"), re.MULTILINE)
    return {(match[1], match[2], match[3] or "") for match in found}


def direct_requirements(name: str, project: dict[str, Any]) -> set[str]:
    """Return the names that pyproject.toml asks for in this lock file."""
    wanted = [] if name in _ALONE else list(project["project"]["dependencies"])
    if name in _WITH_EXTRAS:
        wanted += [entry for extra in project["project"]["optional-dependencies"].values() for entry in extra]
    for group in _GROUPS[name]:
        wanted += [entry for entry in project["dependency-groups"][group] if isinstance(entry, str)]
    return {re.split(r"[^A-Za-z0-9._-]", entry, maxsplit=1)[0].lower() for entry in wanted}


def check(name: str, path: Path, project: dict[str, Any]) -> str | None:
    """Return what is wrong with one lock file, None when nothing is."""
    if missing := direct_requirements(name, project) - {pinned for pinned, _, _ in pins(path)}:
        return f"{path}: {', '.join(sorted(missing))} is in pyproject.toml but not here; run `make lock`"
    with tempfile.TemporaryDirectory() as directory:
        again = Path(shutil.copy(path, directory))
        if not (lock(name, again, "--offline") or lock(name, again)):
            print(
                f"{path}: uv could not resolve it (no network?); compared by direct requirements only", file=sys.stderr
            )
            return None
        return None if pins(again) == pins(path) else f"{path}: not what pyproject.toml leads to; run `make lock`"


def main(arguments: list[str]) -> int:
    """Write or check all lock files; return the exit status."""
    paths = {name: Path("requirements", f"{name}.txt") for name in _GROUPS}
    if "--check" not in arguments:
        return 0 if all(lock(name, path, *arguments) for name, path in paths.items()) else 1
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))
    problems = [problem for name, path in paths.items() if (problem := check(name, path, project))]
    print("\n".join(problems) or "lock files are current")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
