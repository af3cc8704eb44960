"""The http sink, and with it what all sinks over HTTP share, through a real nginx that terminates TLS."""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import TypeAdapter

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch
from mcwatch.domain.errors import (
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    ThrottledError,
    TransientError,
)
from mcwatch.interfaces import Sink
from mcwatch.pipeline.delivery import Delivery, Streak
from mcwatch.pipeline.inflight import InFlight, Segment
from mcwatch.sinks.http import HttpSinkConfig
from tests.contract.sink_events import batch_of, event, numbered
from tests.integration.nginx import Nginx, Upstream

pytestmark = pytest.mark.integration
_CONFIGS = TypeAdapter(HttpSinkConfig)
_LARGE = batch_of(*(event(number, "s" * 8000) for number in range(500)))


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """Give a receiver that runs."""
    found = Upstream()
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def nginx(require_program: Callable[[str], Path], tmp_path: Path, upstream: Upstream) -> AsyncIterator[Nginx]:
    """Give an nginx before it, not yet started."""
    found = Nginx(require_program("nginx"), tmp_path, upstream.port)
    yield found
    await found.stop(signal.SIGKILL)


@asynccontextmanager
async def _sink(nginx: Nginx, **options: Any) -> AsyncIterator[Sink]:  # noqa: ANN401 - as written in YAML
    tls = {"ca_file": str(nginx.ca_file)} | options.pop("tls", {})
    options = {"type": "http", "url": nginx.url, "timeout": "5s", "tls": tls} | options
    async with _CONFIGS.validate_python(options).build() as sink:
        yield sink


async def _failure(sink: Sink, batch: Batch) -> McwatchError:
    with pytest.raises(McwatchError) as failure:
        await sink.deliver(batch)
    return failure.value


@pytest.mark.parametrize("compression", ["gzip", "none"])
async def test_every_event_arrives_once(nginx: Nginx, upstream: Upstream, compression: str) -> None:
    """Through TLS and proxy everything accepted arrives, in order, as it was packed."""
    await nginx.start()
    async with _sink(nginx, compression=compression, bearer="t0ken") as sink:
        for start in range(0, 400, 40):
            assert ALL_ACCEPTED == await sink.deliver(numbered(40, start=start))
        assert "answers" in await sink.check()
    assert list(range(400)) == upstream.accepted
    first = upstream.headers[0]
    assert (compression == "gzip", "Bearer t0ken") == ("Content-Encoding" in first, first["Authorization"])


@pytest.mark.parametrize("compression", ["gzip", "none"])
async def test_a_large_batch_passes(nginx: Nginx, upstream: Upstream, compression: str) -> None:
    """Four MiB pass, unpacked too."""
    await nginx.start()
    async with _sink(nginx, compression=compression) as sink:
        assert ALL_ACCEPTED == await sink.deliver(_LARGE)
    assert list(range(500)) == upstream.accepted


@pytest.mark.parametrize("batch", [numbered(5), _LARGE], ids=["small", "large"])
async def test_a_reset_in_the_middle_of_a_request(nginx: Nginx, upstream: Upstream, batch: Batch) -> None:
    """A connection cut by the proxy accepts nothing, and the batch arrives once the proxy lets it pass."""
    await nginx.start(location="return 444;")
    async with _sink(nginx, compression="none") as sink:
        error = await _failure(sink, batch)
        assert (TransientError, FailureReason.CONNECTION) == (type(error), error.reason)
        assert [] == upstream.accepted
        await nginx.start()
        assert ALL_ACCEPTED == await sink.deliver(batch)
    assert list(range(len(batch))) == upstream.accepted


async def test_an_answer_lost_in_the_proxy_brings_the_same_events_again(nginx: Nginx, upstream: Upstream) -> None:
    """A proxy killed after the receiver has accepted: the batch comes again, with the same ids and the same key."""
    await nginx.start()
    upstream.answers.clear()
    async with _sink(nginx) as sink:
        async with asyncio.TaskGroup() as group:
            lost = group.create_task(_failure(sink, numbered(5)))
            await upstream.arrived.wait()
            await nginx.stop(signal.SIGKILL)
        assert (TransientError, FailureReason.CONNECTION) == (type(lost.result()), lost.result().reason)
        upstream.answers.set()
        await nginx.start()
        assert ALL_ACCEPTED == await sink.deliver(numbered(5))
    assert [*range(5), *range(5)] == upstream.accepted
    assert 1 == len({headers["Idempotency-Key"] for headers in upstream.headers})


async def test_a_receiver_that_does_not_answer_the_proxy(nginx: Nginx, upstream: Upstream) -> None:
    """504 with a page of HTML is trouble that passes; what the receiver took before comes again with the same ids."""
    await nginx.start(location="proxy_read_timeout 200ms;")
    upstream.answers.clear()
    async with _sink(nginx) as sink:
        error = await _failure(sink, numbered(5))
        assert (TransientError, FailureReason.SERVER) == (type(error), error.reason)
        assert "504" in str(error)
        assert "html" not in str(error)
        upstream.answers.set()
        assert ALL_ACCEPTED == await sink.deliver(numbered(5))
    assert [*range(5), *range(5)] == upstream.accepted


async def test_a_receiver_that_is_away(nginx: Nginx, upstream: Upstream) -> None:
    """502 is trouble that passes, also in the words of check."""
    await nginx.start()
    await upstream.stop()
    async with _sink(nginx) as sink:
        error = await _failure(sink, numbered(5))
        assert (TransientError, FailureReason.SERVER) == (type(error), error.reason)
        assert "502" in str(error)
        with pytest.raises(TransientError, match="502"):
            await sink.check()
        await upstream.start()
        assert ALL_ACCEPTED == await sink.deliver(numbered(5))
    assert list(range(5)) == upstream.accepted


async def test_a_batch_that_is_too_large_for_the_proxy_is_halved(nginx: Nginx, upstream: Upstream) -> None:
    """With 413 the batch is cut until its parts pass; nothing is missing, nothing comes twice."""
    await nginx.start(server="client_max_body_size 8k;")
    batch = numbered(100)
    inflight = InFlight([Segment(1, 0, 100, range(100), 0.0)], batch)
    async with _sink(nginx, compression="none") as sink:
        delivery = Delivery(sink, inflight, Streak())
        await delivery.run()
    assert [] == inflight.open()
    assert list(range(100)) == upstream.accepted
    assert (15, 8) == (delivery.requests, len(upstream.headers))


@pytest.mark.parametrize("lingering", ["on", "off"])
async def test_too_large_is_known_however_large(nginx: Nginx, upstream: Upstream, lingering: str) -> None:
    """The proxy says 413 before it has read the body, and is heard although the body is still on its way.

    Also where it does not linger and resets the connection: taken for an outage, the batch would never be halved.
    """
    await nginx.start(server=f"client_max_body_size 8k; lingering_close {lingering};")
    async with _sink(nginx, compression="none") as sink:
        for _ in range(5):
            error = await _failure(sink, _LARGE)
            assert (PermanentError, FailureReason.TOO_LARGE) == (type(error), error.reason)
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))
    assert [0, 1] == upstream.accepted


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_throttle_names_its_time(nginx: Nginx, upstream: Upstream, form: str) -> None:
    """429 with Retry-After in either form, a date against the proxy's own clock."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=120)
    asked = "120" if form == "seconds" else format_datetime(at, usegmt=True)
    await nginx.start(location=f'add_header Retry-After "{asked}" always; return 429;')
    async with _sink(nginx) as sink:
        error = await _failure(sink, numbered(5))
    assert isinstance(error, ThrottledError)
    assert error.retry_after_secs is not None
    assert 110 <= error.retry_after_secs <= 120
    assert [] == upstream.accepted


async def test_a_connection_the_proxy_has_closed_is_no_failure(nginx: Nginx, upstream: Upstream) -> None:
    """A proxy that keeps connections for a short time, or for few requests, costs no failed delivery."""
    await nginx.start(server="keepalive_timeout 50ms; keepalive_requests 3;")
    async with _sink(nginx) as sink:
        for number in range(12):
            assert ALL_ACCEPTED == await sink.deliver(numbered(1, start=number))
            await asyncio.sleep(0.05 if number % 3 else 0)  # about when it closes
    assert list(range(12)) == upstream.accepted


async def test_a_restart_between_batches_is_no_failure(nginx: Nginx, upstream: Upstream) -> None:
    """A proxy that was restarted since the last batch takes the next one over a new connection."""
    async with _sink(nginx) as sink:
        for number in range(5):
            await nginx.start()
            assert ALL_ACCEPTED == await sink.deliver(numbered(1, start=number))
    assert list(range(5)) == upstream.accepted


@pytest.mark.parametrize("tls_version", ["TLSv1.2", "TLSv1.3"])
async def test_a_client_certificate(nginx: Nginx, upstream: Upstream, tmp_path: Path, tls_version: str) -> None:
    """None or a wrong one is a misconfiguration, no word on the events; the right one counts once the file holds it."""
    await nginx.start(server=f"ssl_verify_client on; ssl_protocols {tls_version};")
    pem = tmp_path / "client.pem"
    async with _sink(nginx) as sink:
        _is_certificate_trouble(await _failure(sink, numbered(5)))
        with pytest.raises(MisconfiguredError):
            await sink.check()
    stranger = trustme.CA(key_type=trustme.KeyType.ECDSA)
    _issue(stranger, pem)
    async with _sink(nginx, tls={"cert_file": str(pem)}) as sink:
        _is_certificate_trouble(await _failure(sink, numbered(5)))
        _issue(nginx.authority, pem)
        assert ALL_ACCEPTED == await sink.deliver(numbered(5))
    assert list(range(5)) == upstream.accepted


def _issue(authority: trustme.CA, pem: Path) -> None:
    authority.issue_cert("client.example", key_type=trustme.KeyType.ECDSA).private_key_and_cert_chain_pem.write_to_path(
        pem
    )


def _is_certificate_trouble(error: McwatchError) -> None:
    assert (MisconfiguredError, FailureReason.TLS) == (type(error), error.reason)
    assert "tls.cert_file" in error.remedy


async def test_a_redirect_to_https_is_never_followed(nginx: Nginx, upstream: Upstream) -> None:
    """A 301 from HTTP to HTTPS takes the destination down with the remedy; the credential goes nowhere else."""
    await nginx.start()
    async with _sink(nginx, url=nginx.plain_url, bearer="t0ken") as sink:
        error = await _failure(sink, numbered(5))
        assert MisconfiguredError is type(error)
        assert "final URL" in error.remedy
        with pytest.raises(MisconfiguredError):
            await sink.check()
    assert [] == upstream.headers


async def test_plain_http_to_the_tls_port_is_named(nginx: Nginx, upstream: Upstream) -> None:
    """The 400 with which nginx answers a wrong scheme is no refusal of events."""
    await nginx.start()
    async with _sink(nginx, url=nginx.plain_to_tls_url) as sink:
        error = await _failure(sink, numbered(5))
    assert MisconfiguredError is type(error)
    assert "https" in error.remedy
    assert [] == upstream.headers


async def test_the_second_proxy_takes_over(nginx: Nginx, upstream: Upstream) -> None:
    """With two URLs one proxy that is down, or without its receiver, costs no event and no failed delivery."""
    await nginx.start()
    down = nginx.url.replace("https://localhost", "https://127.0.0.1").replace("/in", "/")
    gone = "https://localhost:1/in"
    async with _sink(nginx, url=[gone, nginx.url]) as sink:
        for number in range(3):
            assert ALL_ACCEPTED == await sink.deliver(numbered(1, start=number))
    async with _sink(nginx, url=[down, nginx.url]) as sink:  # a wrong name in its certificate is not passed over
        error = await _failure(sink, numbered(1, start=3))
        assert (MisconfiguredError, FailureReason.TLS) == (type(error), error.reason)
    assert list(range(3)) == upstream.accepted


async def test_deliveries_side_by_side_under_changing_trouble(nginx: Nginx, upstream: Upstream) -> None:
    """Eight at a time through a proxy that is killed again and again: all arrives, repeats have the same ids."""
    await nginx.start()
    upstream.delay_secs = 0.005
    numbers = itertools.count(0, 10)
    sent: list[int] = []
    failures: list[McwatchError] = []
    over = asyncio.Event()

    async def work(sink: Sink) -> None:
        while not over.is_set():
            batch = numbered(10, start=next(numbers))
            sent.extend(int(head.event_id, 16) for head in batch.heads)
            await _until_accepted(sink, batch, failures)

    async with _sink(nginx) as sink, asyncio.TaskGroup() as group:
        for _ in range(sink.most_at_once):
            group.create_task(work(sink))
        for _ in range(8):
            await asyncio.sleep(0.1)
            await nginx.stop(signal.SIGKILL)
            await nginx.start()
        over.set()
    assert set(sent) == set(upstream.accepted)
    assert len(upstream.accepted) > len(sent)  # some were under way when the proxy was killed
    assert {FailureReason.CONNECTION} == {failure.reason for failure in failures}


async def _until_accepted(sink: Sink, batch: Batch, failures: list[McwatchError]) -> None:
    while True:
        try:
            assert ALL_ACCEPTED == await sink.deliver(batch)
        except TransientError as error:
            failures.append(error)
            await asyncio.sleep(0.02)
        else:
            return
