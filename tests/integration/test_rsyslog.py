"""The syslog sink against a real rsyslogd."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch
from mcwatch.domain.errors import FailureReason, MisconfiguredError, TransientError
from mcwatch.interfaces import Sink
from mcwatch.sinks.syslog import SyslogSinkConfig
from tests.contract.sink_events import HOSTILE_SUBJECTS, batch_of, event, numbered
from tests.contract.sink_targets.base import free_port
from tests.integration.rsyslog import Rsyslog, Transport

pytestmark = pytest.mark.integration
_CONFIGS = TypeAdapter(SyslogSinkConfig)
_HOSTILE = batch_of(*(event(number, subject) for number, subject in enumerate(HOSTILE_SUBJECTS)))

Start = Callable[[Transport], Awaitable[tuple[Rsyslog, str]]]


@pytest.fixture
async def start(require_program: Callable[[str], Path], tmp_path: Path) -> AsyncIterator[Start]:
    """Give a way to start rsyslogd for a transport, which returns it and its address."""
    program = require_program("rsyslogd")
    started: list[Rsyslog] = []

    async def begin(transport: Transport) -> tuple[Rsyslog, str]:
        port = free_port(socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        rsyslog = Rsyslog(program, tmp_path, transport, port)
        started.append(rsyslog)
        await rsyslog.start()
        return rsyslog, f"{'localhost' if transport == 'tls' else '127.0.0.1'}:{port}"

    yield begin
    for rsyslog in started:
        await rsyslog.stop(signal.SIGKILL)


@asynccontextmanager
async def _sink(address: str, **options: Any) -> AsyncIterator[Sink]:  # noqa: ANN401 - as written in YAML
    options = {"type": "syslog", "address": address, "max_message": "32KiB", "send_timeout": "2s"} | options
    async with _CONFIGS.validate_python(options).build() as sink:
        yield sink


@pytest.mark.parametrize(
    ("transport", "options"),
    [
        ("tcp", {"transport": "tcp"}),
        ("tcp", {"transport": "tcp", "framing": "lf"}),
        ("udp", {"transport": "udp"}),
        ("tls", {"transport": "tls"}),
    ],
    ids=["tcp-octet-counting", "tcp-lf", "udp", "tls"],
)
async def test_every_event_arrives_once(start: Start, transport: Transport, options: dict[str, Any]) -> None:
    """Each event is one message, in order, hostile subjects byte for byte, whatever the transport."""
    rsyslog, address = await start(transport)
    tls = {"tls": {"ca_file": str(rsyslog.ca_file)}} if transport == "tls" else {}
    batches = [_HOSTILE, *(numbered(40, start=1000 + 40 * number) for number in range(10))]
    sent: list[bytes] = []
    async with _sink(address, **options, **tls) as sink:
        for batch in batches:
            assert await sink.deliver(batch) == ALL_ACCEPTED
            sent += batch.payloads
            if transport == "udp":  # which would not mind losing some
                await rsyslog.received(len(sent))
    messages = await rsyslog.received(len(sent))
    assert [message.msg.encode() for message in messages] == sent


async def test_headers_are_understood(start: Start) -> None:
    """Rsyslogd reads every header field as it was meant."""
    rsyslog, address = await start("tcp")
    async with _sink(address, hostname="gateway.example", app_name="mcw", facility="local3") as sink:
        await sink.deliver(numbered(1))
    (message,) = await rsyslog.received(1)
    assert (message.pri, message.time, message.host, message.app, message.procid, message.msgid, message.data) == (
        str(19 * 8 + 6),
        "2026-01-05T09:29:02.000Z",
        "gateway.example",
        "mcw",
        str(os.getpid()),
        "message.seen",
        "-",
    )


async def test_a_clipped_event_is_still_json(start: Start) -> None:
    """An event over the limit arrives as JSON that says that it was shortened."""
    rsyslog, address = await start("udp")
    async with _sink(address, transport="udp", max_message="1KiB") as sink:
        assert await sink.deliver(batch_of(event(7, "é" * 4000))) == ALL_ACCEPTED
    (message,) = await rsyslog.received(1)
    document = json.loads(message.msg)
    assert (document["truncated"], document["event_id"], document["message"]["id"]) == (True, f"{7:032x}", "eNp7")


@pytest.mark.parametrize("count", [150, 2000], ids=["within-send-buffer", "beyond-all-buffers"])
async def test_a_kill_in_the_middle_of_a_batch_loses_nothing(start: Start, count: int) -> None:
    """A batch that was under way when rsyslogd was killed is sent again; nothing accepted is missing."""
    rsyslog, address = await start("tcp")
    large = batch_of(*(event(number, "s" * 8000) for number in range(100, 100 + count)))
    async with _sink(address, send_timeout="20s") as sink:
        await sink.deliver(numbered(50))
        await rsyslog.received(50)
        rsyslog.freeze()
        delivery = asyncio.create_task(_deliver(sink, large))
        await asyncio.sleep(0.3)
        assert not delivery.done()
        await rsyslog.stop(signal.SIGKILL)
        with pytest.raises(TransientError):
            await delivery
        with pytest.raises(TransientError):
            await sink.deliver(numbered(1))
        await rsyslog.start()
        assert await sink.deliver(large) == ALL_ACCEPTED
        assert await sink.deliver(numbered(50, start=5000)) == ALL_ACCEPTED
        await rsyslog.received(100 + count)
        await _until_complete(rsyslog, {*range(50), *range(100, 100 + count), *range(5000, 5050)})


async def test_an_orderly_restart_between_batches_loses_nothing(start: Start) -> None:
    """After a restart the first delivery may fail; repeated, everything is there."""
    rsyslog, address = await start("tcp")
    async with _sink(address) as sink:
        for start_at in range(0, 300, 50):
            await _until_accepted(sink, numbered(50, start=start_at))
            await rsyslog.received(start_at + 50)
            await rsyslog.stop()
            with pytest.raises(TransientError):
                await sink.deliver(numbered(50, start=start_at + 50))
            await rsyslog.start()
        await _until_complete(rsyslog, set(range(300)))


async def test_tls_checks_name_and_authority(start: Start) -> None:
    """A certificate for another name, or of an unknown authority, takes the destination down with the reason."""
    rsyslog, address = await start("tls")
    other_name = address.replace("localhost", "127.0.0.1")
    async with _sink(other_name, transport="tls", tls={"ca_file": str(rsyslog.ca_file)}) as sink:
        with pytest.raises(MisconfiguredError) as by_name:
            await sink.deliver(numbered(1))
    async with _sink(address, transport="tls") as sink:
        with pytest.raises(MisconfiguredError) as by_authority:
            await sink.check()
    assert [by_name.value.reason, by_authority.value.reason] == [FailureReason.TLS] * 2
    assert rsyslog.messages() == []


async def _deliver(sink: Sink, batch: Batch) -> None:
    await sink.deliver(batch)


async def _until_accepted(sink: Sink, batch: Batch) -> None:
    while True:
        try:
            assert await sink.deliver(batch) == ALL_ACCEPTED
        except TransientError:
            continue
        return


async def _until_complete(rsyslog: Rsyslog, numbers: set[int]) -> None:
    """Wait until every event has been written at least once."""
    count = 0
    while True:
        messages = await rsyslog.received(count)
        if {int(json.loads(message.msg)["event_id"], 16) for message in messages} >= numbers:
            return
        count = len(messages) + 1
