"""``mcwatch run``."""

from pathlib import Path

import pytest

from mcwatch.settings import Settings
from tests.unit.cli.programs import Program

Started = list[tuple[str, str, float]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Keep what the daemon was started with, instead of starting it."""
    calls: Started = []

    def run(settings: Settings, config: Path, drain_timeout_secs: float) -> int:
        calls.append((settings.accounts[0].name, config.name, drain_timeout_secs))
        return 0

    monkeypatch.setattr("mcwatch.app.run", run)
    return calls


@pytest.mark.parametrize(
    ("arguments", "secs"), [((), 20.0), (("--drain-timeout", "1m30s"), 90.0), (("--drain-timeout", "0"), 0.0)]
)
def test_starts_the_daemon(program: Program, started: Started, arguments: tuple[str, ...], secs: float) -> None:
    """With mcwatch.yaml of the working directory, and 20 s to drain unless told otherwise."""
    finished = program.run("run", *arguments)

    assert (finished.code, started) == (0, [("acme", "mcwatch.yaml", secs)])


def test_takes_the_file_from_the_environment(
    program: Program, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MCWATCH_CONFIG names it where no option does."""
    elsewhere = program.config.rename(program.config.with_name("elsewhere.yaml"))
    monkeypatch.setenv("MCWATCH_CONFIG", str(elsewhere))

    assert program.run("run").code == 0
    assert started == [("acme", "elsewhere.yaml", 20.0)]


@pytest.mark.parametrize("text", ["5x", "", "soon", "-5s"])
def test_a_drain_timeout_that_is_no_duration_is_refused(program: Program, started: Started, text: str) -> None:
    """The message names the option; nothing starts."""
    finished = program.run("run", f"--drain-timeout={text}")

    assert (finished.code, started) == (78, [])
    assert "--drain-timeout" in finished.err


def test_a_missing_file_is_a_configuration_error(program: Program, started: Started) -> None:
    """The message names the file."""
    finished = program.run("run", "-c", "none.yaml")

    assert (finished.code, started) == (78, [])
    assert "none.yaml" in finished.err
