"""The kafka sink against a real broker."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, MisconfiguredError, TransientError
from mcwatch.interfaces import Sink
from tests.acceptance.waiting import pass_time
from tests.contract.sink_events import HOSTILE_SUBJECTS, batch_of, event, event_document
from tests.integration.kafka.broker import PASSWORDS, KafkaBroker

# A first run fetches the server's jars.
pytestmark = pytest.mark.timeout(600)
_ACCOUNTS = ["acme", "bolt", "crux", "dune"]


def _events(numbers: Iterable[int]) -> list[bytes]:
    """Return events of four accounts in turn."""
    return [
        json.dumps({**event_document(number), "account": _ACCOUNTS[number % len(_ACCOUNTS)]}).encode()
        for number in numbers
    ]


async def _until_accepted(sink: Sink, events: Sequence[bytes]) -> None:
    """Deliver as a dispatcher does: again, the rest alone, after each passing failure."""
    left = list(events)
    while left:
        try:
            verdicts = await sink.deliver(batch_of(*left))
        except TransientError:
            await pass_time(0.05)
            continue
        assert {} == verdicts.refused
        left = [left[index] for index in sorted(verdicts.retry)]


def _by_account(records: "Iterable[Any]") -> dict[str, list[int]]:
    found = defaultdict(list)
    for record in records:
        found[record.key.decode()].append(int(json.loads(record.value)["event_id"], 16))
    return found


async def test_arrives_whole_in_order_and_once(broker: KafkaBroker) -> None:
    """Keys, bytes, headers and order per account are those sent; nothing stands twice; packing changes nothing."""
    topic = await broker.topic("whole", 3)
    events = _events(range(2000))
    hostile = [event(5000 + number, subject) for number, subject in enumerate(HOSTILE_SUBJECTS)]
    async with broker.sink(topic) as plain, broker.sink(topic, compression="gzip") as packed:
        for start in range(0, 2000, 500):
            await _until_accepted(packed if start else plain, events[start : start + 500])
        await _until_accepted(plain, hostile)
    records = await broker.records(topic)
    assert sorted([*events, *hostile]) == sorted(record.value for record in records)
    expected = {name: [number for number in range(2000) if number % 4 == at] for at, name in enumerate(_ACCOUNTS)}
    expected["acme"] += range(5000, 5000 + len(hostile))
    assert expected == _by_account(records)
    for record in records:
        assert json.loads(record.value)["event_id"] == dict(record.headers)["event_id"].decode()
        assert b"application/json" == dict(record.headers)["content_type"]
    assert 4 == len({(record.key, record.partition) for record in records})


async def test_a_kill_in_the_middle_loses_nothing_and_keeps_the_order(broker: KafkaBroker) -> None:
    """Killed and started again under load, the broker has every event, and the first of each came in order."""
    topic = await broker.topic("killed", 2)
    events = _events(range(6000))
    async with broker.sink(topic, timeout="3s") as sink:
        await _until_accepted(sink, events[:500])

        under_way = asyncio.Event()

        async def send() -> None:
            for start in range(500, 6000, 250):
                await _until_accepted(sink, events[start : start + 250])
                under_way.set()

        async with asyncio.TaskGroup() as group:
            sending = group.create_task(send())
            await under_way.wait()
            await asyncio.to_thread(broker.kill)
            assert not sending.done()
            broker.start()
    records = await broker.records(topic)
    found = {account: list(dict.fromkeys(numbers)) for account, numbers in _by_account(records).items()}
    assert {name: [number for number in range(6000) if number % 4 == at] for at, name in enumerate(_ACCOUNTS)} == found


async def test_an_event_too_large_for_the_topic_is_refused_alone(broker: KafkaBroker) -> None:
    """The broker's own limit makes one refusal, and the neighbours stand in order."""
    topic = await broker.topic("small", 1, {"max.message.bytes": "5000"})
    events = [event(number, "x" * 9000 if number == 20 else "y") for number in range(40)]
    async with broker.sink(topic) as sink:
        await _until_accepted(sink, events[:1])
        verdicts = await sink.deliver(batch_of(*events[1:]))
    assert {19: FailureReason.TOO_LARGE} == {index: one.reason for index, one in verdicts.refused.items()}
    assert frozenset() == verdicts.retry
    assert [number for number in range(40) if number != 20] == _by_account(await broker.records(topic))["acme"]


async def test_a_topic_that_does_not_exist_is_told_and_not_made(broker: KafkaBroker) -> None:
    """Check and delivery name the topic and the remedy."""
    await broker.serves()
    async with broker.sink("nowhere") as sink:
        for attempt in (sink.check(), sink.deliver(batch_of(event(1)))):
            with pytest.raises(MisconfiguredError, match="topic nowhere") as failure:
                await attempt
            assert "create the topic" in failure.value.remedy


def _secure(broker: KafkaBroker, topic: str, user: str, password: str, mechanism: str, ca_file: Path | None) -> Sink:
    security = {
        "protocol": "tls",
        "tls": {"ca_file": str(ca_file) if ca_file else None},
        "sasl": {"mechanism": mechanism, "username": user, "password": password},
    }
    return broker.sink(topic, brokers=[broker.secure_address], security=security)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_logs_in_over_tls(broker: KafkaBroker, mechanism: str) -> None:
    """Each mechanism lets the user in, and what is sent arrives."""
    topic = await broker.topic(f"login-{mechanism}", 1)
    async with _secure(broker, topic, "alice", PASSWORDS["alice"], mechanism, broker.ca_file) as sink:
        await _until_accepted(sink, _events(range(8)))
        assert f"topic {topic}, partitions: 1, brokers that lead: 1" == await sink.check()
    assert 8 == len(await broker.records(topic))


async def _failure(sink: Sink) -> McwatchError:
    async with sink:
        with pytest.raises(McwatchError) as failure:
            await sink.check()
        with pytest.raises(type(failure.value)):
            await sink.deliver(batch_of(event(1)))
    return failure.value


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_told(broker: KafkaBroker, mechanism: str) -> None:
    """A refused login is the destination's fault, not the broker's being away, and shows no password."""
    topic = await broker.topic(f"refused-{mechanism}", 1)
    failure = await _failure(_secure(broker, topic, "alice", "wr0ng", mechanism, broker.ca_file))
    assert AuthError is type(failure)
    assert "wr0ng" not in f"{failure!r} {failure} {failure.__cause__!r} {failure.remedy}"


async def test_a_password_is_read_again(broker: KafkaBroker, tmp_path: Path) -> None:
    """A corrected file is enough: the next attempt logs in."""
    topic = await broker.topic("rotated", 1)
    secret = tmp_path / "password"
    secret.write_text("wr0ng\n")
    sasl = {"username": "alice", "password": {"file": str(secret)}}
    security = {"tls": {"ca_file": str(broker.ca_file)}, "sasl": sasl}
    async with broker.sink(topic, brokers=[broker.secure_address], security=security) as sink:
        with pytest.raises(AuthError):
            await sink.deliver(batch_of(event(1)))
        secret.write_text(PASSWORDS["alice"] + "\n")
        await _until_accepted(sink, [event(1)])
    assert [1] == _by_account(await broker.records(topic))["acme"]


async def test_a_password_in_the_clear_is_warned_of_by_the_check_alone(
    broker: KafkaBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """The check says it, and the library does not at each connection."""
    topic = await broker.topic("clear", 1)
    sasl = {"mechanism": "PLAIN", "username": "alice", "password": PASSWORDS["alice"]}
    security = {"protocol": "plaintext", "sasl": sasl}
    caplog.clear()
    async with broker.sink(topic, brokers=[broker.open_address], security=security) as sink:
        assert "in the clear" in await sink.check()
        await _until_accepted(sink, [event(1)])
    assert [] == [record for record in caplog.records if record.name.startswith("aiokafka")]


async def test_a_user_without_rights_is_told(broker: KafkaBroker) -> None:
    """A user whom no access rule allows the topic is refused as such."""
    topic = await broker.topic("forbidden", 1)
    failure = await _failure(_secure(broker, topic, "bob", PASSWORDS["bob"], "SCRAM-SHA-512", broker.ca_file))
    assert AuthError is type(failure)
    assert "kafka-acls" in failure.remedy


async def test_an_unknown_authority_is_told(broker: KafkaBroker) -> None:
    """A certificate that nobody vouches for is no connection, and the remedy names the option."""
    await broker.serves()
    failure = await _failure(_secure(broker, "any", "alice", PASSWORDS["alice"], "PLAIN", None))
    assert (MisconfiguredError, FailureReason.TLS) == (type(failure), failure.reason)
    assert "ca_file" in failure.remedy


async def test_the_wrong_protocol_is_told(broker: KafkaBroker) -> None:
    """TLS spoken to a listener without it, and none to one with it, lead to the options at fault."""
    await broker.serves()
    with_tls = await _failure(broker.sink("any", security={"protocol": "tls"}, timeout="2s"))
    without = await _failure(broker.sink("any", brokers=[broker.secure_address], timeout="2s"))
    for failure in (with_tls, without):
        assert "sink.security" in failure.remedy, failure
