"""The splunk_hec sink against a strict HEC in a process of its own, with faults, crashes and restarts of both sides."""

import asyncio
import json
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from mcwatch.domain.delivery import Batch
from mcwatch.domain.errors import TransientError
from mcwatch.interfaces import Sink
from mcwatch.sinks.splunk_hec import SplunkHecSinkConfig
from tests.contract.sink_events import numbered
from tests.fakes.hec import TOKEN
from tests.fakes.http_server import free_port

_CHANNEL = UUID("99999999-8888-7777-6666-555555555555")
_BATCHES = 60
_EVENTS = 5
_TIMEOUT_SECS = 1.0


@asynccontextmanager
async def _running(port: int, out: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.hec", "--port", str(port), "--out", str(out), *options,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    await process.stdout.readline()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


class _Dispatching:
    """What a dispatcher does with receipts: asks for them, and repeats what was not confirmed in time."""

    def __init__(self) -> None:
        self.waiting = deque(numbered(_EVENTS, start=number * _EVENTS) for number in range(_BATCHES))
        self.pending: dict[bytes, tuple[Batch, float]] = {}
        self.troubles = 0

    @property
    def is_done(self) -> bool:
        return not self.waiting and not self.pending

    async def step(self, sink: Sink) -> None:
        now = asyncio.get_running_loop().time()
        for receipt, (batch, deadline) in list(self.pending.items()):
            if deadline <= now:
                del self.pending[receipt]
                self.waiting.append(batch)
                self.troubles += 1
        try:
            if self.waiting and len(self.pending) < 16:
                await self._deliver(sink, self.waiting[0], now)
                self.waiting.popleft()
            if sink.acknowledgements:
                for receipt in await sink.acknowledgements.confirmed(list(self.pending)):
                    del self.pending[receipt]
        except TransientError:
            self.troubles += 1
            await asyncio.sleep(0.01)

    async def _deliver(self, sink: Sink, batch: Batch, now: float) -> None:
        verdicts = await sink.deliver(batch)
        assert ({}, frozenset()) == (verdicts.refused, verdicts.retry)
        if verdicts.receipt is not None:
            assert verdicts.receipt not in self.pending
            self.pending[verdicts.receipt] = (batch, now + _TIMEOUT_SECS)


def _config(port: int, **options: object) -> SplunkHecSinkConfig:
    usual = {"type": "splunk_hec", "url": f"http://127.0.0.1:{port}", "token": TOKEN, "ack_timeout": "1s"}
    return SplunkHecSinkConfig.model_validate(usual | options)


def _indexed(out: Path) -> set[str]:
    return {json.loads(line)["event"]["event_id"] for line in out.read_text().splitlines()}


def _expected() -> set[str]:
    return {head.event_id for head in numbered(_BATCHES * _EVENTS).heads}


@pytest.mark.parametrize("seed", ["1", "2"])
async def test_everything_confirmed_is_indexed_whatever_befalls_either_side(tmp_path: Path, seed: int) -> None:
    """Lost answers, busy servers, proxies' pages, crashes of the indexer and restarts of the sink lose nothing."""
    port, out, dispatching = free_port(), tmp_path / "indexed", _Dispatching()
    async with _running(port, out, "--delay", "0.01", "--faults", "0.06", "--seed", str(seed)):
        while not dispatching.is_done:
            async with _config(port).build(_CHANNEL) as sink:
                for _ in range(25):
                    await dispatching.step(sink)
    assert _expected() == _indexed(out)
    assert dispatching.troubles > 3  # or nothing befell anybody


async def test_a_killed_receiver_gets_again_what_it_had_not_indexed(tmp_path: Path) -> None:
    """What was only taken died with it; the numbers of the new process confirm nothing of the old one's."""
    port, out, dispatching = free_port(), tmp_path / "indexed", _Dispatching()
    async with _config(port).build(_CHANNEL) as sink:
        for delay in ("5", "5", "0.02"):  # the first two die before they index anything
            async with _running(port, out, "--delay", delay) as process:
                for _ in range(10):
                    await dispatching.step(sink)
                while delay == "0.02" and not dispatching.is_done:
                    await dispatching.step(sink)
                process.kill()
                await process.wait()
    assert _expected() == _indexed(out)


async def test_without_acknowledgement_nothing_is_missing_while_splunk_lives(tmp_path: Path) -> None:
    """Every 200 is indexed, and whatever was no 200 goes again."""
    port, out, dispatching = free_port(), tmp_path / "indexed", _Dispatching()
    async with (
        _running(port, out, "--no-ack", "--faults", "0.2"),
        _config(port, ack=False, compression="none").build() as sink,
    ):
        while not dispatching.is_done:
            await dispatching.step(sink)
    assert _expected() == _indexed(out)
