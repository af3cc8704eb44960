"""The elasticsearch sink against Tenzir, a receiver of bulk requests by another maker."""

import asyncio
import hashlib
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch
from mcwatch.domain.errors import FailureReason, PermanentError, TransientError
from mcwatch.formats import FormatConfig
from mcwatch.interfaces import Format, Sink
from mcwatch.sinks.elasticsearch import ElasticsearchSinkConfig
from tests.contract.sink_events import HOSTILE_SUBJECTS, event_document
from tests.fakes.http_server import free_port
from tests.integration.tenzir import Tenzir, normal, tenzir_program

_FORMATS: TypeAdapter[Any] = TypeAdapter(FormatConfig)
_PER_BATCH = 50


@pytest.fixture
async def tenzir(tmp_path: Path) -> AsyncIterator[Tenzir]:
    """Give a running Tenzir."""
    found = Tenzir(tenzir_program(), tmp_path, free_port())
    await found.start()
    yield found
    await found.stop()


@asynccontextmanager
async def _sink(tenzir: Tenzir, **options: Any) -> AsyncIterator[Sink]:  # noqa: ANN401 - as written in YAML
    options = {"type": "elasticsearch", "url": tenzir.url, "index": "mail", "timeout": "5s"} | options
    async with ElasticsearchSinkConfig.model_validate(options).build() as sink:
        yield sink


def _id(number: int) -> str:
    """Return an id as real ones are: Tenzir takes digits before a `d` for a number of days."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def _event(number: int, subject: str = "Quarter update") -> bytes:
    document = event_document(number, subject)
    document["event_id"] = document["message"]["key"] = _id(number)
    return json.dumps(document, separators=(",", ":")).encode()


def _batch(rendered: Format, *native: bytes) -> Batch:
    return Batch(native, rendered.render(native), rendered.content_type)


def _format(name: str) -> Format:
    built: Format = _FORMATS.validate_python({"type": name}).build()
    return built


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("name", ["json", "ecs"])
async def test_what_is_stored_is_what_was_sent(tenzir: Tenzir, name: str, compression: str) -> None:
    """Every event arrives under its id, in order, with all its fields, hostile subjects included."""
    rendered = _format(name)
    batches = [
        _batch(rendered, *(_event(number, subject) for number, subject in enumerate(HOSTILE_SUBJECTS))),
        *(_batch(rendered, *(_event(1000 * start + number) for number in range(100))) for start in range(1, 11)),
    ]
    async with _sink(tenzir, compression=compression) as sink:
        assert [ALL_ACCEPTED] * len(batches) == [await sink.deliver(batch) for batch in batches]
    sent = [
        (head.event_id, {"@timestamp": "2026-01-05T09:29:02Z"} | json.loads(payload))
        for batch in batches
        for head, payload in zip(batch.heads, batch.payloads, strict=True)
    ]
    await tenzir.has_written([key for key, _ in sent])
    assert [(key, normal(document)) for key, document in sent] == [
        (stored.id, normal(stored.document)) for stored in tenzir.stored()
    ]


class _Stream:
    """Sends one batch after the other, each until it is accepted, and notes which."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._format = _format("json")
        self.accepted: list[int] = []
        self.failures = 0

    async def send_while(self, others: asyncio.Task[None]) -> None:
        """Send until ``others`` is done."""
        while not others.done():
            number = len(self.accepted)
            while not await self._is_accepted(_batch(self._format, *map(_event, _numbers(number)))):
                self.failures += 1
                await asyncio.sleep(0.01)
            self.accepted.append(number)

    async def _is_accepted(self, batch: Batch) -> bool:
        try:
            return await self._sink.deliver(batch) == ALL_ACCEPTED
        except TransientError:
            return False

    async def further(self, count: int) -> None:
        """Wait until so many more batches are accepted."""
        goal = len(self.accepted) + count
        while len(self.accepted) < goal:  # noqa: ASYNC110 - the deliveries go on meanwhile
            await asyncio.sleep(0.001)


def _numbers(batch: int) -> range:
    return range(_PER_BATCH * batch, _PER_BATCH * (batch + 1))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_what_it_accepted_is_there_after_its_end(tenzir: Tenzir, how: signal.Signals) -> None:
    """Ended in the middle and started again, it has every event that was accepted.

    Killed, it may lack what it had not written yet. Nothing that was *not* accepted is missing.
    """
    accepted_last: set[int] = set()

    async def end_and_start(stream: _Stream) -> None:
        for _ in range(4):
            await stream.further(6)
            written = set(stream.accepted)
            # What a kill has taken will not come any more.
            certain = written - accepted_last
            await tenzir.has_written([_id(number) for batch in certain for number in _numbers(batch)])
            await tenzir.stop(how)
            accepted_last.update(written.symmetric_difference(stream.accepted))
            await tenzir.start()

    async with _sink(tenzir) as sink, asyncio.TaskGroup() as group:
        stream = _Stream(sink)
        await stream.send_while(group.create_task(end_and_start(stream)))
    await tenzir.stop(signal.SIGTERM)
    stored = {found.id for found in tenzir.stored()}
    missing = {number for number in stream.accepted if not stored.issuperset(map(_id, _numbers(number)))}
    assert stream.failures > 0
    assert missing <= (accepted_last if how is signal.SIGKILL else set())


async def test_a_batch_over_its_limit_is_refused_as_too_large(tenzir: Tenzir) -> None:
    """Tenzir takes requests of up to 10 MiB, unpacked, and says 413 to others: the batch is to be halved."""
    rendered = _format("json")
    async with _sink(tenzir) as sink:
        with pytest.raises(PermanentError) as failure:
            await sink.deliver(_batch(rendered, *(_event(number, "s" * 50_000) for number in range(250))))
        assert ALL_ACCEPTED == await sink.deliver(_batch(rendered, _event(9999)))
    assert failure.value.reason is FailureReason.TOO_LARGE


async def test_a_check_names_it(tenzir: Tenzir) -> None:
    """It poses as OpenSearch and is told apart."""
    async with _sink(tenzir) as sink:
        assert "(Tenzir accept_opensearch)" in await sink.check()
    assert tenzir.stored() == []
