"""The syslog sink against a real rsyslogd that is killed, restarted and stopped in the middle."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import FailureReason, TransientError
from mcwatch.interfaces import Sink
from tests.contract.sink_events import batch_of, event, numbered
from tests.integration.rsyslog import Receiver, Rsyslog, rsyslogd, sink_to

pytestmark = pytest.mark.integration
_Require = Callable[[str], Path]
_STREAMS = [
    Receiver("tcp"), Receiver("tls", "gtls", client_auth=True), Receiver("relp"),
    Receiver("relp+tls", "ossl", client_auth=True),
]  # fmt: skip
_NAMES = ["tcp", "tls", "relp", "relp-tls"]


@pytest.mark.parametrize("count", [150, 2000], ids=["within-send-buffer", "beyond-all-buffers"])
async def test_a_kill_in_the_middle_of_a_batch_loses_nothing(
    require_program: _Require, tmp_path: Path, count: int
) -> None:
    """A batch that was under way when rsyslogd was killed is sent again; nothing accepted is missing."""
    large = batch_of(*(event(number, "s" * 8000) for number in range(100, 100 + count)))
    async with (
        rsyslogd(require_program, tmp_path, Receiver("tcp")) as rsyslog,
        sink_to(rsyslog, send_timeout="20s") as sink,
    ):
        await sink.deliver(numbered(50))
        await rsyslog.received(50)
        await rsyslog.freeze()
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
        await rsyslog.until_complete({*range(50), *range(100, 100 + count), *range(5000, 5050)})


@pytest.mark.parametrize("receiver", _STREAMS, ids=_NAMES)
async def test_an_orderly_restart_between_batches_loses_nothing(
    require_program: _Require, tmp_path: Path, receiver: Receiver
) -> None:
    """After a restart the first delivery may fail; repeated, everything is there."""
    async with rsyslogd(require_program, tmp_path, receiver) as rsyslog, sink_to(rsyslog) as sink:
        for start_at in range(0, 200, 50):
            await _until_accepted(sink, numbered(50, start=start_at))
            await rsyslog.received(start_at + 50)
            await rsyslog.stop()
            with pytest.raises(TransientError):
                await sink.deliver(numbered(50, start=start_at + 50))
            await rsyslog.start()
        await rsyslog.until_complete(set(range(200)))


@pytest.mark.parametrize("receiver", _STREAMS, ids=_NAMES)
async def test_a_receiver_that_is_stopped_for_a_while_gets_everything(
    require_program: _Require, tmp_path: Path, receiver: Receiver
) -> None:
    """While it stands still a batch runs into the time-out; when it goes on, repeats have the same bytes."""
    large = batch_of(*(event(number, "s" * 8000) for number in range(100, 700)))
    async with rsyslogd(require_program, tmp_path, receiver) as rsyslog, sink_to(rsyslog) as sink:
        assert await sink.deliver(numbered(50)) == ALL_ACCEPTED
        await rsyslog.freeze()
        with pytest.raises(TransientError) as failure:
            await sink.deliver(large)
        rsyslog.thaw()
        await _until_accepted(sink, large)
        messages = await rsyslog.until_complete({*range(50), *range(100, 700)})
    assert failure.value.reason is FailureReason.TIMEOUT
    sent = {*numbered(50).payloads, *large.payloads}
    assert {message.msg.encode() for message in messages} == sent


@pytest.mark.parametrize(
    "receiver", [Receiver("relp"), Receiver("relp+tls", "ossl", client_auth=True)], ids=["relp", "relp-tls"]
)
async def test_over_relp_nothing_accepted_is_missing_however_often_it_is_killed(
    require_program: _Require, tmp_path: Path, receiver: Receiver
) -> None:
    """Rsyslogd is killed in the middle of the stream again and again: what it answered for stands in its file."""
    accepted: set[int] = set()
    async with rsyslogd(require_program, tmp_path, receiver) as rsyslog, sink_to(rsyslog) as sink:
        killer = asyncio.create_task(_kill_and_start(rsyslog, times=6))
        interrupted, start_at = 0, 0
        while not killer.done():
            batch = batch_of(*(event(number, "s" * 2000) for number in range(start_at, start_at + 1000)))
            interrupted += await _until_all_accepted(sink, batch)
            accepted |= set(range(start_at, start_at + 1000))
            start_at += 1000
        await killer
        messages = rsyslog.messages()  # at once: what was answered for must be there already
    assert accepted <= {int(json.loads(message.msg)["event_id"], 16) for message in messages}
    assert interrupted > 0, "no kill met a batch"


async def _kill_and_start(rsyslog: Rsyslog, times: int) -> None:
    for _ in range(times):
        await rsyslog.grown(500_000)
        await rsyslog.stop(signal.SIGKILL)
        await rsyslog.start()


async def _until_all_accepted(sink: Sink, batch: Batch) -> int:
    """Deliver as a dispatcher does, the open events alone; return how often it did not go through at once."""
    payloads, interrupted = list(batch.payloads), 0
    while payloads:
        try:
            verdicts = await sink.deliver(batch_of(*payloads))
        except TransientError:
            interrupted += 1
            await asyncio.sleep(0.01)
            continue
        assert verdicts == Verdicts(retry=verdicts.retry)
        interrupted += bool(verdicts.retry)
        payloads = [payloads[index] for index in sorted(verdicts.retry)]
    return interrupted


async def _deliver(sink: Sink, batch: Batch) -> None:
    await sink.deliver(batch)


async def _until_accepted(sink: Sink, batch: Batch) -> None:
    while True:
        try:
            await _until_all_accepted(sink, batch)
        except TransientError:
            continue
        return
