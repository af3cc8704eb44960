"""The worked examples of the pages "Adding a …": added to a copy of the tree as shown, they keep the contracts."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documented.pages import ROOT, blocks

_COPIED = ("mcwatch", "tests", "scripts", "docs", "config", "deploy", "pyproject.toml", ".importlinter")


def added(page: str, directory: Path) -> list[Path]:
    """Copy the tree and do to it what the page says; return the files that are new."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory)
    files = []
    for block in blocks(page):
        if block.language == "diff":
            subprocess.run(["git", "apply", "-"], input=block.text, text=True, cwd=directory, check=True)
        elif block.language == "python" and (path := re.match(r"# (\S+)\n", block.text)):
            files.append(directory / path[1])
            files[-1].write_text(block.text.split("\n", 1)[1], "utf-8")
    return files


def succeeds(directory: Path, *command: str) -> None:
    """Run a command of the development environment in the copy; fail with its words."""
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run([program, *command[1:]], cwd=directory, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize(
    ("page", "tests"),
    [
        ("docs/adding-a-format.md", ["tests/contract/test_formats.py"]),
        ("docs/adding-a-sink.md", ["tests/contract/test_sinks.py", "-k", "unix_socket or target"]),
        ("docs/adding-a-source.md", ["tests/unit/sources/test_rejections.py"]),
    ],
)
def test_worked_examples_keep_the_contracts(page: str, tests: list[str], tmp_path: Path) -> None:
    """What the page shows applies to the tree of today, passes lint, import contracts and the contract tests."""
    files = added(page, tmp_path)
    assert files
    succeeds(tmp_path, "lint-imports", "--no-logo", "--no-cache")
    succeeds(tmp_path, "ruff", "check", "--no-cache", *map(str, files))
    succeeds(tmp_path, "python", "-m", "scripts.generate_docs")
    succeeds(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", *tests)
