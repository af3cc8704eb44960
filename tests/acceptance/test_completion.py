"""Completion in real shells, by the script that the program gives them."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.configuration import Config
from tests.acceptance.daemon import command_line, environment, write_config

_CONFIG: Config = {
    "store": {"url": "sqlite:///mcwatch.db"},
    "accounts": [{"name": "acme", "api": {"auth": {"client_secret": {"env": "NOT_SET"}}}}, {"name": "beta"}],
    "destinations": [{"name": "hook"}, {"name": "archive"}],
}
_BASH = """
. ./completion
COMP_WORDS=(mcwatch "$@")
COMP_CWORD=$#
_mcwatch_completion mcwatch "${COMP_WORDS[-1]}" ""
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def prompt(place: Path) -> Path:
    """Give a directory with a configuration, and a program named mcwatch on the path."""
    write_config(place, _CONFIG)
    write_config(place, _CONFIG).rename(place / "other.yaml")
    (place / "other.yaml").write_text((place / "other.yaml").read_text().replace("acme", "gamma"))
    write_config(place, _CONFIG)
    binary = place / "bin" / "mcwatch"
    binary.parent.mkdir()
    binary.write_text(f'#!/bin/sh\nexec {" ".join(command_line())} "$@"\n')
    binary.chmod(0o755)
    return place


async def _run(prompt: Path, *command: str, **more: str) -> str:
    env = environment(prompt, more)
    env["PATH"] = f"{prompt / 'bin'}:{env['PATH']}"
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=prompt, env=env, capture_output=True, text=True, timeout=60
    )
    assert "" == done.stderr
    return done.stdout


async def _script(prompt: Path, shell: str) -> str:
    """Return what ``--show-completion`` says to this shell."""
    return await _run(prompt, "mcwatch", "--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["st"], {"status"}),
        (["dead-letters", "d"], {"discard"}),
        (["status", "--exit"], {"--exit-code"}),
        (["backfill", "--account", ""], {"acme", "beta"}),
        (["backfill", "-c", "other.yaml", "--account", "g"], {"gamma"}),
        (["backfill", "-c", "none.yaml", "--account", ""], {""}),
        (["tail", "--account", "a"], {"acme"}),
        (["replay", "--destination", ""], {"archive", "hook"}),
        (["dead-letters", "retry", "--destination", "h"], {"hook"}),
        (["tail", "--kind", "queue."], {"queue.*", "queue.entered", "queue.changed", "queue.left"}),
        (["tail", "--output", ""], {"line", "json"}),
        (["status", "-o", "j"], {"json"}),
        (["demo", "--faults", "t"], {"throttled", "tokens"}),
    ],
)
async def test_bash(prompt: Path, words: list[str], offered: set[str]) -> None:
    """Commands, options, and values: names out of the file that the line names, whose secrets are not asked for."""
    (prompt / "completion").write_text(await _script(prompt, "bash"))
    assert offered == set((await _run(prompt, "bash", "-c", _BASH, "bash", *words)).splitlines() or [""])


async def test_fish(prompt: Path, require_program: Callable[[str], Path]) -> None:
    """The same in fish."""
    fish = str(require_program("fish"))
    (prompt / "completion").write_text(await _script(prompt, "fish"))
    asked = "source completion; complete -C 'mcwatch backfill --account '; complete -C 'mcwatch tai'"
    said = await _run(prompt, fish, "--no-config", "-c", asked)
    assert {"acme", "beta", "tail"} <= {line.split("\t")[0] for line in said.splitlines()}


async def test_zsh(prompt: Path, require_program: Callable[[str], Path]) -> None:
    """And in zsh, where the function is called with what zsh would hand it."""
    zsh = str(require_program("zsh"))
    (prompt / "completion").write_text(await _script(prompt, "zsh"))
    asked = (
        "compdef() { : }; _arguments() { print -r -- $1 }; source completion; "
        "words=(mcwatch backfill --account ''); CURRENT=4; _mcwatch_completion"
    )
    said = await _run(prompt, zsh, "-f", "-c", asked)
    assert "acme" in said
    assert "beta" in said
