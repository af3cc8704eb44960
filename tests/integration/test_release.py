"""The files of a release: whole, the same from the same source, and enough to run the demo on a clean machine."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from mcwatch import __version__
from scripts import release_files
from tests.acceptance.waiting import eventually

ROOT = Path(__file__).parents[2]
_MADE_AT_SECS = 1_700_000_000
_SOURCES = (
    "mcwatch",
    "config",
    "docs",
    "deploy",
    "requirements",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "pyproject.toml",
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the tree, so that nobody edits it between two builds."""
    copy = tmp_path_factory.mktemp("tree")
    for name in _SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, copy)
    return copy


@pytest.fixture(scope="module")
def release(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a release."""
    target = tmp_path_factory.mktemp("release") / "dist"
    release_files.make(tree, target, _MADE_AT_SECS)
    return target


def wheel_of(directory: Path) -> Path:
    """Return the wheel in a directory."""
    [wheel] = directory.glob("*.whl")
    return wheel


def test_wheel_holds_what_the_program_reads(tree: Path, release: Path) -> None:
    """Every file of the package is in the wheel, with the licence; and nothing else."""
    names = set(zipfile.ZipFile(wheel_of(release)).namelist())
    package = {str(path.relative_to(tree)) for path in (tree / "mcwatch").rglob("*") if path.is_file()}
    assert {
        "mcwatch/py.typed",
        "mcwatch/store/sqlite/sql/0001_initial.sql",
        "mcwatch/httpserver/static/page.css",
    } <= package
    assert package == {name for name in names if name.startswith("mcwatch/")}
    info = f"mcwatch-{__version__}.dist-info"
    assert {f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD", f"{info}/entry_points.txt"} | {
        f"{info}/licenses/LICENSE"
    } == names - package


def test_two_builds_are_the_same_bytes(tree: Path, release: Path, tmp_path: Path) -> None:
    """A second release of the same source differs in nothing."""
    release_files.make(tree, tmp_path / "again", _MADE_AT_SECS)
    first, second = (
        {file.name: file.read_bytes() for file in place.iterdir()} for place in (release, tmp_path / "again")
    )
    assert first.keys() == second.keys()
    assert [] == [name for name in first if first[name] != second[name]]


def test_the_sdist_builds_the_same_wheel(release: Path, tmp_path: Path) -> None:
    """The wheel built from the sdist alone is the released one, to the byte."""
    [sdist] = release.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    release_files.build(tmp_path / f"mcwatch-{__version__}", tmp_path / "built", _MADE_AT_SECS)
    assert wheel_of(release).read_bytes() == wheel_of(tmp_path / "built").read_bytes()


def test_bill_of_materials_names_what_the_lock_pins(release: Path) -> None:
    """Each pinned package is a component with version and hashes, and every dependency leads to one."""
    [path] = release.glob("*.cdx.json")
    bill = json.loads(path.read_text("utf-8"))
    lock = (ROOT / "requirements/run.txt").read_text("utf-8")
    assert set(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)) == {
        (one["name"], one["version"]) for one in bill["components"]
    }
    assert lock.count("--hash=") == sum(len(one["hashes"]) for one in bill["components"])
    root = bill["metadata"]["component"]
    assert __version__ == root["version"]
    known = {root["bom-ref"], *(one["bom-ref"] for one in bill["components"])}
    edges = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert known == edges.keys()
    assert edges[root["bom-ref"]]
    reached = {root["bom-ref"]}
    while more := {below for ref in reached for below in edges[ref]} - reached:
        reached |= more
    assert known == reached


def test_the_sums_are_right(release: Path) -> None:
    """SHA256SUMS names every other file, and `sha256sum -c` agrees."""
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=release, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout
    assert len(list(release.iterdir())) - 1 == done.stdout.count(": OK")


def test_the_version_stands_in_one_place() -> None:
    """Nothing that a release is made of names the version but mcwatch/__init__.py and the changelog."""
    files = [ROOT / name for name in ("pyproject.toml", "Dockerfile", "mkdocs.yml", "Makefile")]
    stated = re.compile(rf"(?<![\w.]){re.escape(__version__)}(?![\w.])")
    assert [] == [file.name for file in files if file.exists() and stated.search(file.read_text("utf-8"))]


@pytest.fixture(scope="module")
def clean_environment() -> dict[str, str]:
    """Return the variables of this process without those that lead Python to other packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


@pytest.fixture(scope="module")
def installed(release: Path, tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]) -> Path:
    """Install the release as docs/INSTALL.md says, with pip from the hashed lock; return the program."""
    began = time.monotonic()
    place = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", place], check=True, env=clean_environment)
    pip = [str(place / "bin/pip"), "--disable-pip-version-check", "--quiet", "install"]
    [lock] = release.glob("*-requirements.txt")
    locked = [*pip, "--require-hashes", "-r", str(lock)]
    fetched = subprocess.run(locked, env=clean_environment, capture_output=True, text=True)
    if fetched.returncode:
        text = f"pip cannot fetch what {lock.name} pins: {fetched.stderr.strip().splitlines()[-1:]}"
        (pytest.fail if os.environ.get("MCWATCH_REQUIRE_COMPONENTS") else pytest.skip)(text)
    subprocess.run([*pip, "--no-index", "--no-deps", str(wheel_of(release))], check=True, env=clean_environment)
    print(f"installed in {time.monotonic() - began:.1f} s")
    return place / "bin/mcwatch"


@pytest.mark.timeout(300)
def test_the_installed_program_knows_its_version(
    installed: Path, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    """`mcwatch --version` of the installed wheel says what the release is called."""
    done = subprocess.run(
        [installed, "--version"], cwd=tmp_path, env=clean_environment, capture_output=True, text=True, check=True
    )
    assert f"mcwatch {__version__}\n" == done.stdout


@pytest.mark.timeout(300)
async def test_the_installed_program_runs_the_demo(
    installed: Path, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    """`mcwatch demo` shows events and ends in order, on a machine that has nothing but the release."""
    output = tmp_path / "events"
    began = time.monotonic()
    with (
        output.open("wb") as stdout,
        subprocess.Popen(  # noqa: ASYNC220 - one call that does not wait
            [installed, "demo", "--listen", "127.0.0.1:0"], cwd=tmp_path, env=clean_environment, stdout=stdout
        ) as demo,
    ):
        try:
            await eventually(lambda: b'"mcwatch.event/1"' in output.read_bytes(), 60.0)
            print(f"first event after {time.monotonic() - began:.1f} s")
            demo.terminate()
            assert 0 == demo.wait(30)
        finally:
            demo.kill()
