"""The Splunk add-on before Splunk's own checker for packages."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.architecture.splunk_addon import ADDON

_PRIVATE = Path(__file__).parents[2] / "build" / "appinspect" / "bin"
"""A virtual environment of its own, for the checker asks for older versions of libraries than others do."""


def _checker() -> str:
    found = shutil.which("splunk-appinspect", path=os.pathsep.join([str(_PRIVATE), os.environ["PATH"]]))
    if found is None:
        text = "splunk-appinspect is not installed: pip install splunk-appinspect, best into the venv build/appinspect"
        if os.environ.get("MCWATCH_REQUIRE_COMPONENTS"):
            pytest.fail(text)
        pytest.skip(text)
    return found


def test_splunks_checker_finds_nothing(tmp_path: Path) -> None:
    """Packed as docs/siem/splunk.md says, it passes all checks, those for Splunk Cloud among them, without a warning.

    Without a network the checker cannot renew its list of trusted libraries, and goes on with its own.
    """
    path, packed = tmp_path / "report.json", tmp_path / f"{ADDON.name}.tgz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(ADDON, ADDON.name)
    command = [_checker(), "inspect", str(packed), "--mode", "test", "--output-file", str(path)]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=55, check=False)
    report = json.loads(path.read_text("utf-8"))
    worse = [
        (check["name"], [message["message"] for message in check["messages"]])
        for group in report["reports"][0]["groups"]
        for check in group["checks"]
        if check["result"] in ("error", "failure", "future_failure", "warning")
    ]
    assert [] == worse
    assert report["summary"]["success"] > 90
