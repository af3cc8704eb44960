"""The kafka sink: what becomes of each event."""

import asyncio
import json
from collections.abc import Iterable

import pytest

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import AuthError, FailureReason, MisconfiguredError, PermanentError, TransientError
from mcwatch.sinks.kafka.wire import partition_of
from tests.contract.sink_events import batch_of, event, event_document, numbered
from tests.fakes.kafka import FakeBroker, Written
from tests.unit.sinks.kafka.conftest import SinkMaker


def _numbers(log: Iterable[Written]) -> list[int]:
    return [int(json.loads(record.value)["event_id"], 16) for record in log]


def _of(account: str, *numbers: int) -> list[bytes]:
    return [json.dumps({**event_document(number), "account": account}).encode() for number in numbers]


async def test_a_record_has_the_account_as_key_and_says_what_it_is(broker: FakeBroker, sink_for: SinkMaker) -> None:
    """Key, value, headers and time are those promised."""
    async with sink_for() as sink:
        assert ALL_ACCEPTED == await sink.deliver(Batch([event(7)], [b"CEF:0|x"], "text/plain"))
    (record,) = broker.log
    assert (b"acme", b"CEF:0|x") == (record.key, record.value)
    assert {
        "event_id": b"%032x" % 7,
        "event_schema": b"mcwatch.event/1",
        "content_type": b"text/plain",
    } == record.headers
    assert record.timestamp_ms > 1_700_000_000_000


async def test_an_account_keeps_to_the_partition_of_its_name(broker: FakeBroker, sink_for: SinkMaker) -> None:
    """Each account's events stand in the partition that Kafka's own clients would choose, in order."""
    broker.partitions = 12
    events = [one for numbers in zip(_of("a", *range(20)), _of("b", *range(20)), strict=True) for one in numbers]
    async with sink_for() as sink:
        assert ALL_ACCEPTED == await sink.deliver(batch_of(*events))
    for account in (b"a", b"b"):
        written = [record for record in broker.log if record.key == account]
        assert {partition_of(account, 12)} == {record.partition for record in written}
        assert list(range(20)) == _numbers(written)


def test_the_partition_is_that_of_the_java_client() -> None:
    """murmur2 as in the tests of Kafka's own UtilsTest, positive, modulo the partitions."""
    assert [(-973932308 & 0x7FFFFFFF) % 100, (-790332482 & 0x7FFFFFFF) % 100] == [
        partition_of(b"21", 100),
        partition_of(b"foobar", 100),
    ]


async def test_what_was_accepted_is_not_sent_again(broker: FakeBroker, sink_for: SinkMaker) -> None:
    """After a failure in the middle only the rest is to be sent again, and nothing after it was written."""
    broker.faults = [0, 0, 19]
    async with sink_for(max_batch=1024) as sink:
        verdicts = await sink.deliver(numbered(6))
        sent = len(broker.batches)
    assert Verdicts(retry=frozenset({2, 3, 4, 5})) == verdicts
    assert 3 == sent


@pytest.mark.parametrize("code", [5, 6, 7, 19, 20, 56, -1])
async def test_a_passing_failure_is_tried_again_with_what_the_cluster_says_then(
    broker: FakeBroker, sink_for: SinkMaker, code: int
) -> None:
    """Nothing counts as accepted; the next attempt asks for the leaders anew and succeeds."""
    broker.faults = [code]
    async with sink_for() as sink:
        with pytest.raises(TransientError):
            await sink.deliver(numbered(3))
        before = broker.connections
        assert ALL_ACCEPTED == await sink.deliver(numbered(3))
    assert broker.connections > before
    assert [0, 1, 2] == _numbers(broker.log)


async def test_a_batch_that_was_written_without_our_knowing_stands_once(
    broker: FakeBroker, sink_for: SinkMaker
) -> None:
    """Sent again as it was, the broker knows it by its number."""
    broker.after = [20]
    async with sink_for() as sink:
        with pytest.raises(TransientError):
            await sink.deliver(numbered(3))
        assert ALL_ACCEPTED == await sink.deliver(numbered(5))
    assert [0, 1, 2, 3, 4] == _numbers(broker.log)
    assert 1 == broker.producers


async def test_another_batch_is_never_taken_for_the_one_in_doubt(broker: FakeBroker, sink_for: SinkMaker) -> None:
    """A batch cut differently gets a new producer: the broker would drop it as a repeat."""
    broker.after = [20]
    async with sink_for() as sink:
        with pytest.raises(TransientError):
            await sink.deliver(numbered(4))
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))
        assert ALL_ACCEPTED == await sink.deliver(numbered(4, start=2))
    assert [0, 1, 2, 3, 0, 1, 2, 3, 4, 5] == _numbers(broker.log)
    assert 2 == broker.producers


@pytest.mark.parametrize("code", [45, 46, 47, 59, 90])
async def test_a_producer_the_broker_has_lost_is_replaced(broker: FakeBroker, sink_for: SinkMaker, code: int) -> None:
    """Fatal for a producer means a new producer, not a failed destination."""
    async with sink_for() as sink:
        await sink.deliver(numbered(2))
        broker.faults = [code]
        with pytest.raises(TransientError):
            await sink.deliver(numbered(2, start=2))
        assert ALL_ACCEPTED == await sink.deliver(numbered(2, start=2))
    assert [0, 1, 2, 3] == _numbers(broker.log)
    assert 2 == broker.producers


async def test_an_event_too_large_alone_is_refused_and_its_neighbours_are_not(
    broker: FakeBroker, sink_for: SinkMaker
) -> None:
    """The broker's limit singles out the one event, in order."""
    broker.most_bytes = 4096
    events = [event(number, "s" * 9000 if number == 2 else "s") for number in range(5)]
    async with sink_for() as sink:
        verdicts = await sink.deliver(batch_of(*events))
    assert {2: FailureReason.TOO_LARGE} == {index: one.reason for index, one in verdicts.refused.items()}
    assert frozenset() == verdicts.retry
    assert [0, 1, 3, 4] == _numbers(broker.log)


async def test_a_broker_with_a_smaller_limit_is_remembered(broker: FakeBroker, sink_for: SinkMaker) -> None:
    """Batches get smaller until they fit, and stay so."""
    broker.most_bytes = 20_000
    async with sink_for(max_batch=100_000) as sink:
        assert ALL_ACCEPTED == await sink.deliver(numbered(100))
        refused = len(broker.batches)
        assert ALL_ACCEPTED == await sink.deliver(numbered(100, start=100))
    assert list(range(200)) == _numbers(broker.log)
    assert len(broker.batches) - refused < refused


async def test_a_refusal_of_several_names_none(broker: FakeBroker, sink_for: SinkMaker) -> None:
    """A record batch that is refused as invalid is the pipeline's to halve; a single event is refused by name."""
    broker.refused = lambda value: json.loads(value)["event_id"].endswith("1")
    async with sink_for() as sink:
        with pytest.raises(PermanentError) as failure:
            await sink.deliver(numbered(2))
        verdicts = await sink.deliver(numbered(1, start=1))
        assert ALL_ACCEPTED == await sink.deliver(numbered(1))
    assert PermanentError is type(failure.value)
    assert [0] == list(verdicts.refused)


@pytest.mark.parametrize(("code", "kind"), [(29, AuthError), (31, AuthError), (44, MisconfiguredError)])
async def test_what_only_a_person_can_mend_takes_the_destination_down(
    broker: FakeBroker, sink_for: SinkMaker, code: int, kind: type[Exception]
) -> None:
    """Missing rights and policies are told as such, and gone once mended."""
    broker.faults = [code]
    async with sink_for() as sink:
        with pytest.raises(kind):
            await sink.deliver(numbered(2))
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))


@pytest.mark.parametrize(("code", "kind"), [(3, MisconfiguredError), (29, AuthError), (5, TransientError)])
async def test_a_topic_that_cannot_be_used_is_told(
    broker: FakeBroker, sink_for: SinkMaker, code: int, kind: type[Exception]
) -> None:
    """A missing or forbidden topic is an error of check and delivery alike."""
    broker.topic_error = code
    async with sink_for() as sink:
        with pytest.raises(kind):
            await sink.check()
        with pytest.raises(kind):
            await sink.deliver(numbered(1))


async def test_a_topic_that_goes_is_no_refusal(broker: FakeBroker, sink_for: SinkMaker) -> None:
    """A leader that does not know the partition may have lost it a moment ago: ask again first."""
    async with sink_for() as sink:
        broker.faults = [3]
        with pytest.raises(TransientError):
            await sink.deliver(numbered(1))
        broker.topic_error = 3
        with pytest.raises(MisconfiguredError, match="UNKNOWN_TOPIC"):
            await sink.deliver(numbered(1))


async def test_a_right_that_lacks_shows_at_the_check(broker: FakeBroker, sink_for: SinkMaker) -> None:
    """Who may not write is not named a producer."""
    broker.naming = [31]
    async with sink_for() as sink:
        with pytest.raises(AuthError):
            await sink.check()


async def test_a_partition_without_leader_is_waited_for(broker: FakeBroker, sink_for: SinkMaker) -> None:
    """A broker that is missing is a passing failure."""
    broker.leaderless = True
    async with sink_for() as sink:
        with pytest.raises(TransientError, match="no leader"):
            await sink.deliver(numbered(1))
        broker.leaderless = False
        assert ALL_ACCEPTED == await sink.deliver(numbered(1))


async def test_the_next_of_several_brokers_is_asked(broker: FakeBroker, sink_for: SinkMaker) -> None:
    """A broker that is away is passed over; when all are, the error names each."""
    away = FakeBroker()
    async with sink_for(brokers=[away.address, broker.address]) as sink:
        assert "topic mail, partitions: 1, brokers that lead: 1" == await sink.check()
        assert ALL_ACCEPTED == await sink.deliver(numbered(1))
    await broker.stop()
    async with sink_for(brokers=[away.address, broker.address]) as sink:
        with pytest.raises(TransientError) as failure:
            await sink.check()
    assert str(away.port) in str(failure.value)
    assert str(broker.port) in str(failure.value)


async def test_a_delivery_that_is_cancelled_leaves_another_alone(broker: FakeBroker, sink_for: SinkMaker) -> None:
    """Another account goes on, and the cancelled batch, sent again, stands once."""
    broker.partitions = 12
    assert partition_of(b"a", 12) != partition_of(b"c", 12)
    async with sink_for() as sink, asyncio.TaskGroup() as group:
        await sink.deliver(batch_of(*_of("a", 0)))
        broker.answers.clear()
        stalled = asyncio.Event()
        broker.heard = stalled.set
        cancelled = group.create_task(sink.deliver(batch_of(*_of("a", 1))))
        await stalled.wait()
        going_on = group.create_task(sink.deliver(batch_of(*_of("c", 2))))
        cancelled.cancel()
        broker.answers.set()
        assert ALL_ACCEPTED == await going_on
        assert ALL_ACCEPTED == await sink.deliver(batch_of(*_of("a", 1)))
    assert [0, 1] == _numbers(record for record in broker.log if record.key == b"a")


async def test_a_broker_that_has_just_started_is_asked_again(
    broker: FakeBroker, sink_for: SinkMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first question for a producer's name, which such a broker puts off, is no failure."""
    monkeypatch.setattr("mcwatch.sinks.kafka.cluster._MOMENT_SECS", 0.0)
    broker.naming = [14, 14]
    async with sink_for() as sink:
        assert ALL_ACCEPTED == await sink.deliver(numbered(1))
    broker.naming = [14] * 20
    async with sink_for() as sink:
        with pytest.raises(TransientError, match="COORDINATOR_LOAD_IN_PROGRESS"):
            await sink.deliver(numbered(1))
