"""The commands that the documentation shows, run against a daemon with mail and dead letters."""

import asyncio
import json
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path

import pytest
from aiohttp import web

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, Process, environment, run_command
from tests.acceptance.waiting import eventually
from tests.documented import commands, pages

_BAD = b"Refuse me"
_LETTERS = 12
_VALUES = {
    ("-c", "--config"): CONFIG,
    ("--account",): "demo",
    ("--destination",): "hook",
    ("--listen",): "127.0.0.1:0",
    ("--port",): "0",
}
"""What stands for the reader's own names."""
_GO_ON = {"run", "demo", "simulate", "tail", "--watch"}
"""Words of commands that run until they are stopped."""
_OWN_PORTS = {"demo": ["--listen", "127.0.0.1:0"], "simulate": ["--port", "0"]}
_CODES = {
    "verify": ({0, 3}, "a range that reaches beyond what was read cannot be judged"),
    "dead-letters discard": ({0, 1}, "it asks first, and nobody answers"),
    "destinations forget": ({1}, "there is no such destination"),
}
"""Exit codes other than 0 that are right here, and why."""


def shown(keep: Callable[[str], bool]) -> list[str]:
    """Return the simple commands of all pages that ``keep`` chooses, each once."""
    lines = [line for page in pages.page_names() for line in pages.commands(page)]
    found = {command: None for line in lines for command in commands.simple_commands(line.text)}
    return [command for command in found if keep(command)]


def rewritten(arguments: list[str], letters: Iterator[int]) -> list[str]:
    """Return the arguments with the test's names, times and dead letters for the reader's."""
    result: list[str] = []
    values = {option: value for options, value in _VALUES.items() for option in options}
    for before, word in pairwise(["", *arguments]):
        if before in values:
            result.append(values[before])
        elif before in {"--from", "--to"} and re.match(r"\d{4}-", word):
            result.append("2d" if before == "--from" else "1h")
        elif arguments[0] == "dead-letters" and word.isdigit():
            result.append(str(next(letters)))
        else:
            result.append(word)
    return result


def commands_of_mcwatch() -> list[list[str]]:
    """Return the arguments of every mcwatch command shown, those last that leave no dead letter to the others."""
    found = {tuple(arguments) for command in shown(lambda _: True) for arguments in commands.mcwatch_arguments(command)}
    found = {words for words in found if not commands.ONLY_NAMED.keys() & set(words)}
    return sorted(map(list, found), key=lambda words: ("discard" in words, _takes_all(words), words))


def _takes_all(words: list[str]) -> bool:
    return "retry" in words and not any(word.isdigit() for word in words)


@pytest.fixture
async def hook() -> Hook:
    """A web hook that refuses some mail."""
    hook = Hook()
    hook.refuse = lambda lines: web.Response(status=422) if any(_BAD in line for line in lines) else None
    return hook


async def test_commands_run(place: Path, simulator: Simulator, hook: Hook) -> None:
    """Every mcwatch command of the documentation that ends by itself does, with the exit code it should have."""
    wanted = [words for words in commands_of_mcwatch() if not _GO_ON.intersection(words)]
    async with hook:
        config = configuration.whole([configuration.account(simulator)], [configuration.hook(hook.url)])
        for number in range(_LETTERS):
            simulator.add_mail(subject=f"{_BAD.decode()} {number}")
            simulator.add_mail(subject=f"Good {number}")
        async with Daemon(place, config) as daemon:
            await eventually(lambda: len(daemon.find("dead_letter")) >= _LETTERS)
            hook.refuse = lambda _: None
            letters = await kept_letters(place)
            faults = [fault for words in wanted if (fault := await fault_of(place, words, letters))]
    assert "" == "\n".join(faults)


async def kept_letters(place: Path) -> Iterator[int]:
    """Return the numbers of the dead letters, one after the other; each command gets others."""
    done = await run_command(place, "dead-letters", "list", "-c", CONFIG, "--output", "json")
    return iter([letter["id"] for letter in json.loads(done.stdout)])


async def fault_of(place: Path, words: list[str], letters: Iterator[int]) -> str | None:
    """Run a command; return what is wrong with how it ended."""
    arguments = rewritten(words, letters)
    done = await run_command(place, *arguments, env={"MCWATCH_CONFIG": CONFIG})
    right, _ = next((entry for start, entry in _CODES.items() if " ".join(words).startswith(start)), ({0}, ""))
    return None if done.code in right else f"{words}: exit {done.code}: {done.stdout[-300:]}{done.stderr[-300:]}"


@pytest.mark.parametrize(
    "words", [words for words in commands_of_mcwatch() if _GO_ON.intersection(words)], ids=" ".join
)
async def test_commands_that_go_on_run(place: Path, simulator: Simulator, words: list[str]) -> None:
    """A command that runs until it is stopped says something, and ends in order when it is."""
    store = {"url": f"sqlite:///{place}/mcwatch.db"}
    config = configuration.whole([configuration.account(simulator)], [configuration.file()], store=store)
    arguments = [*rewritten(words, count(1))]
    if words[0] in _OWN_PORTS and _OWN_PORTS[words[0]][0] not in words:
        arguments += _OWN_PORTS[words[0]]
    beside = place / "beside"
    beside.mkdir()
    if words[0] == "run":
        config["store"]["url"] = "sqlite:///mcwatch.db"
    async with Daemon(place, config):
        shutil.copy(place / CONFIG, beside)
        async with Process(beside, arguments, env={"MCWATCH_CONFIG": CONFIG}) as process:
            number = count()
            await eventually(lambda: _heard(process, simulator, next(number)))
            process.signal(signal.SIGINT)
            assert await process.exit_code() in {0, 130}, process.stderr


def _heard(process: Process, simulator: Simulator, number: int) -> bool:
    assert process.alive, process.stderr
    if number % 20 == 0:
        simulator.add_mail(subject=f"Something to show {number}")
    return bool(process.stdout or process.stderr)


async def test_questions_over_http_are_answered(
    place: Path, simulator: Simulator, require_program: Callable[[str], Path]
) -> None:
    """Every curl of the documentation that asks mcwatch itself is answered."""
    wanted = shown(commands.is_own_page)
    curl = require_program("curl")
    http = {"reload": True}
    config = configuration.whole([configuration.account(simulator)], [configuration.file()], http=http)
    faults = []
    async with Daemon(place, config) as daemon:
        for command in wanted:
            words = shlex.split(re.sub(r"https?://[^/ ]*:9640", daemon.url, command))[1:]
            done = await asyncio.to_thread(_output, [str(curl), "--fail", "--silent", "--show-error", *words], place)
            if done.returncode:
                faults.append(f"{command}: {done.returncode} {done.stderr}")
    assert [] == faults


def _output(command: list[str], place: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=place, env=environment(place), capture_output=True, text=True)
