"""RELP against a receiver that can be told what to answer, and when."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch
from mcwatch.domain.errors import FailureReason, MisconfiguredError, PermanentError, TransientError
from mcwatch.sinks.syslog import SyslogSinkConfig
from mcwatch.sinks.syslog.relp import RelpSink
from tests.contract.sink_events import batch_of, event, numbered
from tests.contract.sink_targets.syslog import RelpTarget, message_payload


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[RelpTarget]:
    """Give a receiver that runs."""
    receiver = RelpTarget(tmp_path)
    await receiver.start()
    yield receiver
    await receiver.stop()
    assert receiver.violations == []


def _sink(target: RelpTarget, window: int = 128, send_timeout: str = "5s") -> RelpSink:
    options = target.options() | {"type": "syslog", "relp_window": window, "send_timeout": send_timeout}
    sink = SyslogSinkConfig.model_validate(options).build()
    assert isinstance(sink, RelpSink)
    return sink


def _refusing(target: RelpTarget, *words: str) -> None:
    """Let the receiver refuse messages that hold one of the words."""
    target.answer = lambda message: b"500 no room" if any(word.encode() in message for word in words) else b"200 OK"


async def test_no_more_than_the_window_is_under_way(target: RelpTarget) -> None:
    """Without an answer the sink sends a window full and waits; with answers it goes on to the end."""
    target.answer = lambda _message: b""
    async with _sink(target, window=8) as sink:
        delivery = asyncio.create_task(sink.deliver(numbered(50)))
        await target.received(8)
        for _ in range(20):  # time enough for a ninth
            await asyncio.sleep(0)
        assert len(target.messages) == 8
        target.answer = target.accept
        for txnr in range(2, 10):
            target.sessions[0].say(txnr, b"rsp", b"200 OK")
        assert await delivery == ALL_ACCEPTED
    assert target.payloads() == list(numbered(50).payloads)


async def test_answers_may_come_in_any_order(target: RelpTarget) -> None:
    """Each answer counts for its own transaction."""
    target.answer = lambda _message: b""
    async with _sink(target) as sink:
        delivery = asyncio.create_task(sink.deliver(numbered(5)))
        await target.received(5)
        target.answer = target.accept
        for txnr, words in [(6, b"200 OK"), (3, b"500 no"), (2, b"200 OK"), (4, b"200 OK"), (5, b"200 OK")]:
            target.sessions[0].say(txnr, b"rsp", words)
        assert await delivery == ALL_ACCEPTED
    assert target.messages[5] == target.messages[1]  # the refused one was sent again, byte for byte


async def test_transaction_numbers_go_round(target: RelpTarget) -> None:
    """After 999,999,999 the next message has 1."""
    async with _sink(target) as sink:
        await sink.deliver(numbered(1))
        session = sink._session
        assert session is not None
        session._next_txnr = target.sessions[0]._expected = 999_999_998
        assert await sink.deliver(numbered(4)) == ALL_ACCEPTED
    assert target.sessions[0].txnrs[-5:] == [999_999_998, 999_999_999, 1, 2, 3]


async def test_the_session_is_closed_with_a_word(target: RelpTarget) -> None:
    """At the end the receiver gets the close command, and answers it."""
    async with _sink(target) as sink:
        await sink.deliver(numbered(1))
    await target.sessions[0].ended.wait()
    assert target.sessions[0].is_closed


async def test_one_that_is_refused_twice_while_others_are_taken_is_refused(target: RelpTarget) -> None:
    """The receiver's words are in the refusal, and everything else is accepted."""
    _refusing(target, f"{1:032x}")
    async with _sink(target) as sink:
        verdicts = await sink.deliver(numbered(4))
    assert (list(verdicts.refused), verdicts.retry) == ([1], frozenset())
    assert (verdicts.refused[1].reason, verdicts.refused[1].detail) == (FailureReason.REFUSED, "500 no room")


async def test_one_that_is_taken_at_the_second_attempt_is_accepted(target: RelpTarget) -> None:
    """A receiver whose store hiccups costs nothing."""
    refused: list[bytes] = []

    def once(message: bytes) -> bytes:
        if f"{1:032x}".encode() not in message or message in refused:
            return b"200 OK"
        refused.append(message)
        return b"500 busy"

    target.answer = once
    async with _sink(target) as sink:
        assert await sink.deliver(numbered(4)) == ALL_ACCEPTED


async def test_a_refusal_at_the_end_proves_nothing(target: RelpTarget) -> None:
    """A receiver that has accepted nothing since may have stopped accepting: the event is asked for again."""
    _refusing(target, f"{3:032x}")
    async with _sink(target) as sink:
        verdicts = await sink.deliver(numbered(4))
    assert (verdicts.refused, verdicts.retry) == ({}, frozenset({3}))


async def test_a_receiver_that_refuses_everything_is_left_to_the_pipeline(target: RelpTarget) -> None:
    """No event is to blame, so none is named; the words are kept apart from the message."""
    _refusing(target, "event_id")
    async with _sink(target) as sink:
        with pytest.raises(PermanentError) as failure:
            await sink.deliver(numbered(4))
    assert not isinstance(failure.value, MisconfiguredError)
    assert (failure.value.detail, "no room" in str(failure.value)) == ("500 no room", False)


async def test_what_cannot_be_shortened_is_refused_beside_the_receivers_verdicts(target: RelpTarget) -> None:
    """The indexes are the batch's own, whatever was not sent."""
    unshortenable = b'["' + b"x" * 100_000 + b'"]'
    batch = Batch([event(0), event(1), event(2)], [unshortenable, event(1), event(2)])
    _refusing(target, f"{1:032x}")
    async with _sink(target) as sink:
        verdicts = await sink.deliver(batch)
    assert {at: no.reason for at, no in verdicts.refused.items()} == {
        0: FailureReason.TOO_LARGE,
        1: FailureReason.REFUSED,
    }


@pytest.mark.parametrize("how", ["abort", "serverclose"])
async def test_what_was_answered_before_the_end_is_accepted(target: RelpTarget, how: str) -> None:
    """A session that ends in the middle gives a retry for the rest alone; sent again, it has the same bytes."""
    target.answer = lambda message: b"200 OK" if len(target.messages) <= 3 else b""
    async with _sink(target) as sink:
        with capture_logs() as logs:
            delivery = asyncio.create_task(sink.deliver(numbered(6)))
            await target.received(6)
            await asyncio.sleep(0.01)  # for the answers to arrive
            if how == "abort":
                assert target.sessions[0].transport
                target.sessions[0].transport.abort()
            else:
                target.sessions[0].say(0, b"serverclose")
            verdicts = await delivery
        assert (verdicts.refused, verdicts.retry) == ({}, frozenset({3, 4, 5}))
        assert [(entry["event"], entry["unanswered"]) for entry in logs] == [("relp_session_lost", 3)]
        target.answer = target.accept
        assert await sink.deliver(batch_of(*numbered(6).payloads[3:])) == ALL_ACCEPTED
    assert target.messages[6:] == target.messages[3:6]
    assert len(target.sessions) == 2


async def test_a_session_that_ended_between_batches_is_opened_again(target: RelpTarget) -> None:
    """After "serverclose" the next batch takes a new session, and nobody hears of it."""
    async with _sink(target) as sink:
        await sink.deliver(numbered(2))
        target.sessions[0].say(0, b"serverclose")
        session = sink._session
        assert session is not None
        await asyncio.sleep(0.01)
        assert not session.usable
        assert await sink.deliver(numbered(2, start=2)) == ALL_ACCEPTED
    assert len(target.sessions) == 2


async def test_silence_is_a_time_out_and_the_next_session_starts_clean(target: RelpTarget) -> None:
    """Nothing is accepted, and a late answer of the old session counts for nobody."""
    target.answer = lambda _message: b""
    async with _sink(target, send_timeout="100ms") as sink:
        with pytest.raises(TransientError) as failure:
            await sink.deliver(numbered(2))
        target.answer = target.accept
        assert await sink.deliver(numbered(2)) == ALL_ACCEPTED
    assert failure.value.reason is FailureReason.TIMEOUT
    assert len(target.sessions) == 2


@pytest.mark.parametrize(
    ("txnr", "command", "data"), [(99, b"rsp", b"200 OK"), (2, b"rsp", b"fine"), (2, b"nonsense", b"200 OK")]
)
async def test_an_answer_that_breaks_the_rules_is_no_yes(
    target: RelpTarget, txnr: int, command: bytes, data: bytes
) -> None:
    """What nobody asked, or without a code, ends the session; the batch is sent again."""
    target.answer = lambda _message: b""
    async with _sink(target) as sink:
        delivery = asyncio.create_task(sink.deliver(numbered(1)))
        await target.received(1)
        target.sessions[0].say(txnr, command, data)
        with pytest.raises(TransientError) as failure:
            await delivery
    assert failure.value.reason is FailureReason.BAD_RESPONSE


async def test_a_cancelled_delivery_leaves_no_answers_behind(target: RelpTarget) -> None:
    """The next delivery has a session of its own, so that old answers cannot be taken for its own."""
    target.answer = lambda _message: b""
    async with _sink(target) as sink:
        delivery = asyncio.create_task(sink.deliver(numbered(3)))
        await target.received(3)
        delivery.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivery
        target.answer = target.accept
        assert await sink.deliver(numbered(3)) == ALL_ACCEPTED
    assert len(target.sessions) == 2


async def test_every_message_is_the_syslog_message_itself(target: RelpTarget) -> None:
    """The frame is the protocol's own: no octet count and no line end within."""
    async with _sink(target) as sink:
        await sink.deliver(numbered(1))
    assert message_payload(target.messages[0]) == event(0)


@pytest.mark.parametrize(
    ("greeting", "reason", "detail"),
    [
        (b"1 rsp 11 500 go away\n", FailureReason.REFUSED, "500 go away"),
        (b"1 rsp 21 200 OK\nrelp_version=0\n", FailureReason.REFUSED, "it offers"),
        (b"1 rsp 22 200 OK\ncommands=syslog\n", FailureReason.REFUSED, "it offers"),
        (b"1 rsp 37 200 OK\nrelp_version=7\ncommands=syslog\n", FailureReason.REFUSED, "it offers"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", FailureReason.BAD_RESPONSE, ""),
    ],
)
async def test_a_receiver_that_opens_no_session_is_misconfigured(
    greeting: bytes, reason: FailureReason, detail: str
) -> None:
    """A refusal, offers without what is needed, another protocol: the destination is down, and no event is lost."""
    done = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"commands=syslog\n")
        writer.write(greeting)
        await reader.read()
        writer.close()
        done.set()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    config = SyslogSinkConfig.model_validate({"type": "syslog", "transport": "relp", "address": address})
    async with server, config.build() as sink:
        with pytest.raises(MisconfiguredError) as failure:
            await sink.check()
        await done.wait()
    assert failure.value.reason is reason
    assert failure.value.detail.startswith(detail)
    assert "go away" not in str(failure.value)


async def test_a_receiver_that_hangs_up_is_no_misconfiguration() -> None:
    """It may be starting; the remedy names what else it may be."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    config = SyslogSinkConfig.model_validate({"type": "syslog", "transport": "relp", "address": address})
    async with server, config.build() as sink:
        with pytest.raises(TransientError) as failure:
            await sink.deliver(numbered(1))
    assert "sink.tls" in failure.value.remedy
