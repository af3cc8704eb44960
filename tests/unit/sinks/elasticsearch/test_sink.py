"""The elasticsearch sink against a strict receiver on loopback."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Refusal, Verdicts
from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    ThrottledError,
    TransientError,
)
from mcwatch.interfaces import Sink
from mcwatch.sinks.elasticsearch import ElasticsearchSinkConfig
from tests.contract.sink_events import MAIL_CONTENT, event, large, numbered
from tests.fakes.elasticsearch import BulkReceiver, Failure, Options, whole_error
from tests.fakes.http_server import free_port

_STREAM = "logs-mimecast-default"


@pytest.fixture
async def receiver() -> AsyncIterator[BulkReceiver]:
    """Give a running receiver."""
    found = BulkReceiver()
    await found.start()
    yield found
    await found.stop()


def _sink(receiver: BulkReceiver, **options: Any) -> Sink:  # noqa: ANN401 - as written in YAML
    target = {} if "index" in options else {"data_stream": _STREAM}
    options = {"type": "elasticsearch", "url": receiver.url, "timeout": "1s"} | target | options
    return ElasticsearchSinkConfig.model_validate(options).build()


def _chosen(**failures: Failure) -> Any:  # noqa: ANN401 - a function
    """Return what answers the events ``e3``, ``e5`` … with the failures given."""
    return lambda identity, _document: failures.get(f"e{int(identity, 16)}")


async def test_a_batch_is_one_request(receiver: BulkReceiver) -> None:
    """After one look at the server each batch is a single packed request, and each event one document."""
    async with _sink(receiver, pipeline="mail") as sink:
        receiver.options.pipelines.add("mail")
        assert [await sink.deliver(numbered(3)), await sink.deliver(numbered(3, start=3))] == [ALL_ACCEPTED] * 2
    look, first, _ = receiver.requests
    assert (look.method, look.path) == ("GET", "/")
    assert (first.method, first.path) == ("POST", f"/{_STREAM}/_bulk")
    assert first.query == {
        "filter_path": "errors,items.*.status,items.*.error.type,items.*.error.reason",
        "pipeline": "mail",
        "require_data_stream": "true",
    }
    assert first.headers["Content-Type"] == "application/x-ndjson"
    assert first.headers["Content-Encoding"] == "gzip"
    documents = receiver.documents[f"{_STREAM}-000000"]
    assert list(documents) == [head.event_id for head in numbered(6).heads]
    assert [json.loads(source) for source in documents.values()] == [
        {"@timestamp": "2026-01-05T09:29:02Z"} | json.loads(payload) for payload in numbered(6).payloads
    ]


async def test_what_is_sent_twice_is_there_once(receiver: BulkReceiver) -> None:
    """A batch whose acceptance did not become known is accepted again and doubles nothing."""
    async with _sink(receiver, timeout="400ms") as sink:
        receiver.answers.clear()
        with pytest.raises(TransientError):
            await sink.deliver(numbered(3))
        receiver.answers.set()
        await sink.deliver(numbered(3))
        assert ALL_ACCEPTED == await sink.deliver(numbered(5))
    assert len(receiver.written) == 5


async def test_a_roll_over_admits_an_id_again(receiver: BulkReceiver) -> None:
    """Uniqueness ends with the backing index: this is documented, and the ids are equal."""
    async with _sink(receiver) as sink:
        await sink.deliver(numbered(1))
        receiver.roll_over(_STREAM)
        await sink.deliver(numbered(1))
    assert len(receiver.written) == 2


async def test_one_refused_event_takes_nothing_with_it(receiver: BulkReceiver) -> None:
    """Each event has its own verdict, and the receiver's words go to the dead letter."""
    receiver.options.chosen = _chosen(
        e1=(400, "document_parsing_exception", "failed to parse"), e3=(429, "es_rejected_execution_exception", "busy")
    )
    async with _sink(receiver) as sink:
        verdicts = await sink.deliver(numbered(5))
    refusal = Refusal(FailureReason.REFUSED, "400 document_parsing_exception: failed to parse")
    assert Verdicts({1: refusal}, frozenset({3})) == verdicts
    assert len(receiver.written) == 3


async def test_refusals_are_named_also_where_all_are_refused(receiver: BulkReceiver) -> None:
    """Whether an event or the mapping is to blame is judged where acceptances are known: in the pipeline."""
    receiver.options.chosen = _chosen(e7=(400, "x", "y"), e8=(400, "x", "y"))
    async with _sink(receiver) as sink:
        verdicts = await sink.deliver(numbered(2, start=7))
    refusal = Refusal(FailureReason.REFUSED, "400 x: y")
    assert Verdicts({0: refusal, 1: refusal}) == verdicts


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ((403, "security_exception", "no"), AuthError),
        ((413, "x", "y"), PermanentError),
        ((429, "es_rejected_execution_exception", "busy"), ThrottledError),
        ((403, "cluster_block_exception", "blocked"), TransientError),
        ((503, "unavailable_shards_exception", "away"), TransientError),
    ],
)
async def test_what_holds_for_all_events_is_an_error(
    receiver: BulkReceiver, failure: Failure, kind: type[McwatchError]
) -> None:
    """The dispatcher learns that the destination, not an event, has trouble."""
    receiver.options.chosen = lambda _identity, _document: failure
    async with _sink(receiver) as sink:
        with pytest.raises(kind) as error:
            await sink.deliver(numbered(2))
    assert error.type is kind


@pytest.mark.parametrize(
    ("options", "sink_options"),
    [
        (Options(templates=(), data_streams=set()), {}),
        (Options(auto_create=False), {"index": "mail"}),
        (Options(), {"pipeline": "missing"}),
    ],
)
async def test_a_target_that_is_missing_is_the_destinations_fault(
    receiver: BulkReceiver, options: Options, sink_options: dict[str, Any]
) -> None:
    """A mistyped name makes neither an index nor dead letters."""
    receiver.options = options
    async with _sink(receiver, **sink_options) as sink:
        with pytest.raises(MisconfiguredError) as failure:
            await sink.deliver(numbered(2))
    assert failure.value.remedy
    assert receiver.written == []


@pytest.mark.parametrize(
    ("options", "required"),
    [
        (Options(version="8.12.2"), False),
        (Options(version="8.13.0"), True),
        (Options(product="opensearch", version="2.19.1"), False),
        (Options(rights={"create_doc"}), False),
        (Options(product="unnamed"), False),
    ],
)
async def test_only_a_server_that_knows_it_is_asked_for_a_data_stream(
    receiver: BulkReceiver, options: Options, required: bool
) -> None:
    """An older one refuses a request with an unknown parameter; one that does not tell its version is not asked."""
    receiver.options = options
    async with _sink(receiver) as sink:
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))
        assert ALL_ACCEPTED == await sink.deliver(numbered(2, start=2))
    assert [required] * 2 == ["require_data_stream" in seen.query for seen in receiver.bulks]
    assert len(receiver.requests) == 3


async def test_an_older_node_of_the_same_cluster_is_no_obstacle(receiver: BulkReceiver) -> None:
    """While a cluster is upgraded its nodes know different parameters."""
    async with _sink(receiver) as sink:
        await sink.deliver(numbered(1))
        receiver.options.version = "8.12.0"
        assert ALL_ACCEPTED == await sink.deliver(numbered(1, start=1))
        assert ALL_ACCEPTED == await sink.deliver(numbered(1, start=2))
    assert ["require_data_stream" in seen.query for seen in receiver.bulks] == [True, True, False, False]


async def test_a_server_that_was_away_is_asked_again(receiver: BulkReceiver) -> None:
    """A look that met a wrong credential says nothing lasting."""
    receiver.options.authorization = "Bearer right"
    async with _sink(receiver, bearer="right") as sink:
        receiver.options.authorization = "Bearer other"
        with pytest.raises(AuthError):
            await sink.deliver(numbered(1))
        receiver.options.authorization = "Bearer right"
        assert ALL_ACCEPTED == await sink.deliver(numbered(1))
    assert "require_data_stream" in receiver.bulks[-1].query


async def test_a_look_alike_is_taken_at_its_word(receiver: BulkReceiver) -> None:
    """A server known to be neither product may answer once for all events of a batch, if it reports no error."""
    receiver.options.product = "emulator"
    async with _sink(receiver) as sink:
        assert ALL_ACCEPTED == await sink.deliver(numbered(3))
    assert len(receiver.written) == 3


async def test_nothing_is_sent_for_an_empty_batch(receiver: BulkReceiver) -> None:
    """A request without actions would be refused."""
    async with _sink(receiver) as sink:
        assert ALL_ACCEPTED == await sink.deliver(Batch((), ()))
    assert receiver.requests == []


async def test_text_is_no_document(receiver: BulkReceiver) -> None:
    """A destination with a text format says so, and sends nothing."""
    batch = Batch((event(0),), (b"CEF:0|x",), "text/plain")
    async with _sink(receiver) as sink:
        with pytest.raises(MisconfiguredError) as failure:
            await sink.deliver(batch)
    assert "json, ecs" in failure.value.remedy
    assert receiver.requests == []


async def test_a_long_answer_is_read_whole(receiver: BulkReceiver) -> None:
    """Hundreds of refusals with long reasons are more than 64 KiB, and all are read."""
    receiver.options.chosen = lambda identity, _document: (400, "x", "y" * 2000) if int(identity, 16) else None
    async with _sink(receiver) as sink:
        verdicts = await sink.deliver(numbered(500))
    assert set(range(1, 500)) == set(verdicts.refused)


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, PermanentError, FailureReason.REFUSED),
        (401, AuthError, FailureReason.AUTH),
        (413, PermanentError, FailureReason.TOO_LARGE),
        (429, ThrottledError, FailureReason.THROTTLED),
        (502, TransientError, FailureReason.SERVER),
        (200, TransientError, FailureReason.BAD_RESPONSE),
    ],
)
async def test_a_whole_answer_accepts_nothing(
    receiver: BulkReceiver, status: int, kind: type[McwatchError], reason: FailureReason
) -> None:
    """What is no bulk answer is an error, and its words stay in the detail."""
    async with _sink(receiver) as sink:
        receiver.whole.append(whole_error(status, reason=MAIL_CONTENT, headers={"Retry-After": "7"}))
        with pytest.raises(kind) as failure:
            await sink.deliver(numbered(2))
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))
    assert failure.type is kind
    assert failure.value.reason is reason
    assert MAIL_CONTENT not in f"{failure.value} {failure.value.remedy}"
    if isinstance(failure.value, ThrottledError):
        assert failure.value.retry_after_secs == 7


async def test_too_large_is_refused_by_the_server_itself(receiver: BulkReceiver) -> None:
    """Its limit counts unpacked bytes, so packing does not help."""
    receiver.options.max_content_bytes = 1000
    async with _sink(receiver) as sink:
        with pytest.raises(PermanentError) as failure:
            await sink.deliver(large())
        assert ALL_ACCEPTED == await sink.deliver(numbered(1))
    assert failure.value.reason is FailureReason.TOO_LARGE


async def test_the_next_node_takes_over(receiver: BulkReceiver) -> None:
    """A node that is not there is passed over at once."""
    away = f"http://127.0.0.1:{free_port()}"
    async with _sink(receiver, url=[away, receiver.url]) as sink:
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))


async def test_a_changed_key_counts_at_once(receiver: BulkReceiver, tmp_path: Path) -> None:
    """A key file is read for each request, so a rotated key needs no restart."""
    key = tmp_path / "key"
    key.write_text("old")
    receiver.options.authorization = "ApiKey old"
    async with _sink(receiver, api_key={"file": str(key)}) as sink:
        await sink.deliver(numbered(1))
        receiver.options.authorization = "ApiKey brand-new"
        key.unlink()
        key.write_text("brand-new")
        assert ALL_ACCEPTED == await sink.deliver(numbered(1, start=1))
    assert len(receiver.written) == 2
