"""Make the files of a release in dist/: wheel, sdist, the hashed lock, the bill of materials, SHA256SUMS.

Usage: python -m scripts.release_files [DIRECTORY]

The same commit gives the same bytes: times come from SOURCE_DATE_EPOCH, or else from the commit, the build tools from
requirements/build.txt, and the version from mcwatch/__init__.py alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from mcwatch import __version__
from scripts import sbom

ROOT = Path(__file__).parents[1]


def build(tree: Path, target: Path, made_at_secs: int) -> None:
    """Build wheel and sdist of a tree into ``target``, with the build tools that are installed and no network."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target.resolve())]
    subprocess.run(command, cwd=tree, env={**os.environ, "SOURCE_DATE_EPOCH": str(made_at_secs)}, check=True)


def make(tree: Path, target: Path, made_at_secs: int) -> list[Path]:
    """Make all files of a release of ``tree`` in ``target``, which is made anew; return them in order."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    build(tree, target, made_at_secs)
    lock = tree / "requirements/run.txt"
    shutil.copyfile(lock, target / f"mcwatch-{__version__}-requirements.txt")
    made_at = datetime.fromtimestamp(made_at_secs, UTC)
    sbom.write(lock, __version__, made_at, target / f"mcwatch-{__version__}.cdx.json")
    files = sorted(target.iterdir())
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (target / "SHA256SUMS").write_text("".join(sums), "utf-8")
    return [*files, target / "SHA256SUMS"]


def commit_time_secs() -> int:
    """Return SOURCE_DATE_EPOCH, or else the time of the newest commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    log = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(log.stdout)


def main(arguments: list[str]) -> int:
    """Make the files and name them; return the exit status."""
    for file in make(ROOT, Path(arguments[0]) if arguments else ROOT / "dist", commit_time_secs()):
        print(f"{file.stat().st_size:>9}  {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
