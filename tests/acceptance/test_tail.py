"""`tail`, `health` and `status --watch` with the real process."""

import asyncio
import json
import os
import pty
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import yaml

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.counterparts import Hook
from tests.acceptance.daemon import CONFIG, Daemon, Process, command_line, environment, run_command, write_config
from tests.acceptance.waiting import eventually

_TAIL = ("tail", "-c", CONFIG)
_MOST_GROWN_KIB = 40_000
"""What a stopped reader may cost the daemon: 4 MiB are held for it, the rest is what other work makes."""


def _config(simulator: Simulator, webhook: Hook) -> Config:
    account = configuration.account(simulator)
    account["sources"] = [account["sources"][1]]
    return configuration.whole([account], [configuration.hook(webhook.url)])


def _add(simulator: Simulator, *subjects: str) -> None:
    for subject in subjects:
        simulator.add_mail(subject=subject, received_ago_secs=1.0)


def _subjects(text: str) -> list[str]:
    return [json.loads(line)["message"]["subject"] for line in text.splitlines() if "note" not in json.loads(line)]


@asynccontextmanager
async def _tailing(place: Path, name: str, *args: str) -> AsyncIterator[Process]:
    """Run a tail in a directory of its own, so that its output has one."""
    folder = place / name
    folder.mkdir()
    (folder / CONFIG).write_text((place / CONFIG).read_text().replace("sqlite:///", f"sqlite:///{place}/"))
    async with Process(folder, [*_TAIL, *args]) as tail:
        yield tail


async def _listening(daemon: Daemon, simulator: Simulator, *tails: Process) -> None:
    """Wait until every tail shows what happens: mail is added until each has shown some."""

    def shown() -> bool:
        _add(simulator, "early")
        simulator.add_mail(subject="early and refused", received_ago_secs=1.0, life=[(0.0, "rejected")])
        return all(tail.stdout or not tail.alive for tail in tails)

    await eventually(shown)
    assert daemon.alive
    assert all(tail.alive for tail in tails), [tail.stderr for tail in tails]


async def test_tail_shows_what_is_recorded(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """Several side by side, each its own choice, until the daemon stops, which is said."""
    async with (
        Daemon(place, _config(simulator, webhook)) as daemon,
        _tailing(place, "all") as everything,
        _tailing(place, "lines", "--output", "line", "--kind", "message.seen", "--route", "inbound") as lines,
        _tailing(place, "refused", "--status", "rejected") as refused,
    ):
        await _listening(daemon, simulator, everything, lines, refused)
        _add(simulator, "first", "second")
        await eventually(lambda: {"first", "second"} <= set(_subjects(everything.stdout)))
        await eventually(lambda: '"second"' in lines.stdout)
        assert 0 == await daemon.stop()
        for tail in (everything, lines, refused):
            assert 0 == await tail.exit_code(), tail.stderr
            assert "mcwatch: the daemon has stopped\n" in tail.stderr
    assert set(webhook.event_ids) >= {json.loads(line)["event_id"] for line in everything.stdout.splitlines()}
    assert {"early and refused"} == set(_subjects(refused.stdout))


async def test_tail_shows_the_past_first(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """With --since: what is kept of it, then what comes, each once."""
    async with Daemon(place, _config(simulator, webhook)) as daemon:
        _add(simulator, *(f"past {number}" for number in range(20)))
        await eventually(lambda: len(webhook.lines) == 20)
        async with _tailing(place, "since", "--since", "5m") as tail:
            await eventually(lambda: len(tail.stdout.splitlines()) == 20)
            _add(simulator, "new")
            await eventually(lambda: "new" in _subjects(tail.stdout))
            assert 21 == len(set(_subjects(tail.stdout))) == len(_subjects(tail.stdout))
        assert daemon.alive


async def test_tail_says_that_the_daemon_was_killed(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """Exit 1 then; and health knows."""
    async with Daemon(place, _config(simulator, webhook)) as daemon, _tailing(place, "tail") as tail:
        await _listening(daemon, simulator, tail)
        alive = await run_command(place, "health", "-c", CONFIG)
        daemon.kill()
        assert 1 == await tail.exit_code()
        assert "mcwatch: the daemon went away" in tail.stderr
        dead = await run_command(place, "health", "-c", CONFIG)
    assert (0, "alive\n") == (alive.code, alive.stdout)
    assert 1 == dead.code
    assert "no daemon runs" in dead.stderr


async def test_a_reload_keeps_the_stream(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """What changes does so behind it."""
    config = _config(simulator, webhook)
    async with Daemon(place, config) as daemon, _tailing(place, "tail") as tail:
        await _listening(daemon, simulator, tail)
        write_config(place, {**config, "destinations": [*config["destinations"], configuration.file()]})
        daemon.signal(signal.SIGHUP)
        await eventually((place / "events.ndjson").exists)
        _add(simulator, "after the reload")
        await eventually(lambda: "after the reload" in tail.stdout)
        assert yaml.safe_load((place / CONFIG).read_text())["destinations"][1]["name"] == "archive"


async def test_a_stopped_reader_costs_nothing(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """A tail that takes nothing slows no delivery and takes no memory; going on, it says what it has missed."""

    def memory_kib() -> int:
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    async with Daemon(place, _config(simulator, webhook)) as daemon, _tailing(place, "tail") as tail:
        await _listening(daemon, simulator, tail)
        tail.signal(signal.SIGSTOP)
        before = memory_kib()
        for number in range(16):
            _add(simulator, *(f"{number} {'x' * 400}" for _ in range(500)))
            seen = len(webhook.lines)
            await eventually(lambda seen=seen: len(webhook.lines) >= seen + 500, 30.0)  # type: ignore[misc]  # as it is now
        assert memory_kib() - before < _MOST_GROWN_KIB
        tail.signal(signal.SIGCONT)
        _add(simulator, "at last")
        await eventually(lambda: "at last" in tail.stdout)
    notes = [json.loads(line) for line in tail.stdout.splitlines() if line.startswith('{"note"')]
    assert notes
    shown = len(_subjects(tail.stdout)) + sum(note["events"] for note in notes)
    assert 16 * 500 + 2 <= shown <= len(webhook.lines)


async def test_a_pipe_that_closes_ends_the_tail(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """At once and without a word, although nothing more happens."""
    async with Daemon(place, _config(simulator, webhook)):
        _add(simulator, "one", "two")
        await eventually(lambda: len(webhook.lines) == 2)
        program = " ".join(command_line(*_TAIL, "--since", "5m"))
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", f"{program} | head -n 1"],
            cwd=place,
            env=environment(place),
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert 1 == len(done.stdout.splitlines())
    assert "" == done.stderr


class _Terminal:
    """A command on a terminal of its own."""

    def __init__(self, place: Path, *args: str) -> None:
        self._leader, follower = pty.openpty()
        self._process = subprocess.Popen(
            command_line(*args),
            cwd=place,
            env={**environment(place), "TERM": "xterm", "COLUMNS": "80", "LINES": "40"},
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            preexec_fn=lambda: _take_terminal(follower),  # noqa: PLW1509 - nothing else runs in the child
        )
        os.close(follower)
        os.set_blocking(self._leader, False)
        self.text = ""

    def shows(self, words: str) -> bool:
        """Tell whether the words have been written."""
        with suppress(OSError):
            self.text += os.read(self._leader, 1 << 16).decode("utf-8", "replace")
        return words in self.text

    async def interrupted(self) -> int:
        """Press Ctrl-C and return the exit code."""
        os.write(self._leader, b"\x03")
        await eventually(lambda: self.shows("\0") or self._process.poll() is not None)
        os.close(self._leader)
        return self._process.returncode


def _take_terminal(descriptor: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


async def test_tail_on_a_terminal(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """Readable lines in colour, and Ctrl-C ends it without a traceback."""
    async with Daemon(place, _config(simulator, webhook)):
        _add(simulator, "coloured")
        await eventually(lambda: webhook.lines)
        terminal = _Terminal(place, *_TAIL, "--since", "5m")
        await eventually(lambda: terminal.shows('"coloured"'))
        assert "\x1b[32mmessage.seen" in terminal.text
        assert 130 == await terminal.interrupted()
    assert "Traceback" not in terminal.text


async def test_watching_the_status(place: Path, simulator: Simulator, webhook: Hook) -> None:
    """It is drawn anew, outlives the daemon, and leaves the terminal as it was."""
    async with Daemon(place, _config(simulator, webhook)) as daemon:
        _add(simulator, "mail")
        await eventually(lambda: webhook.lines)
        terminal = _Terminal(place, "status", "-c", CONFIG, "--watch", "0.2")
        await eventually(lambda: terminal.shows("all is well"))
        assert 0 == await daemon.stop()
        await eventually(lambda: terminal.shows("not reachable since"))
        assert 130 == await terminal.interrupted()
    entered, left = "\x1b[?1049h", "\x1b[?1049l"
    assert terminal.text.index(entered) < terminal.text.index(left)
    assert "Traceback" not in terminal.text
