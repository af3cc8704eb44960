"""The http sink against a server on loopback."""

import gzip
import hashlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch
from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    ThrottledError,
    TransientError,
)
from mcwatch.sinks.http import Body, HttpSinkConfig, Request, request_of
from tests.contract.sink_events import event, large, numbered


class _Hook:
    """A web hook that keeps what it gets and answers what it is told."""

    def __init__(self) -> None:
        self.status = 200
        self.answer_headers: dict[str, str] = {}
        self.answer = b""
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers=self.answer_headers, body=self.answer)

    def config(self, **options: Any) -> HttpSinkConfig:  # noqa: ANN401 - as written in YAML
        return HttpSinkConfig.model_validate({"type": "http", "url": self.url, "timeout": "1s"} | options)


@pytest.fixture
async def hook() -> AsyncIterator[_Hook]:
    """Give a running web hook."""
    found = _Hook()
    application = web.Application(client_max_size=2**26)
    application.router.add_route("*", "/{path:.*}", found.take)
    async with TestServer(application, host="127.0.0.1") as server:
        found.url = str(server.make_url("/in"))
        yield found


@pytest.mark.parametrize(
    ("options", "content_type", "body"),
    [
        ({}, "application/x-ndjson", event(0) + b"\n" + event(1) + b"\n"),
        ({"body": "array", "method": "PUT"}, "application/json", b"[" + event(0) + b"," + event(1) + b"]"),
        ({"compression": "none"}, "application/x-ndjson", event(0) + b"\n" + event(1) + b"\n"),
        ({"headers": {"content-type": "text/plain"}}, "text/plain", event(0) + b"\n" + event(1) + b"\n"),
    ],
)
async def test_a_batch_is_one_request(hook: _Hook, options: dict[str, Any], content_type: str, body: bytes) -> None:
    """Method, body, packing and headers are those configured."""
    async with hook.config(**options).build() as sink:
        await sink.deliver(numbered(2))
    ((method, headers, sent),) = hook.requests
    ids = b"".join(head.event_id.encode() for head in numbered(2).heads)
    assert method == options.get("method", "POST")
    assert headers["Content-Type"] == content_type
    assert (headers.get("Content-Encoding") == "gzip") is (options.get("compression") != "none")
    assert headers["Idempotency-Key"] == hashlib.sha256(ids).hexdigest()
    assert sent == body  # the server has unpacked it


def test_equal_batches_have_equal_bytes_and_keys() -> None:
    """A repeated batch is the same request, packed or not."""
    packed = request_of(numbered(2), "ndjson", compressed=True)
    assert request_of(numbered(2), "ndjson", compressed=True) == packed
    assert request_of(numbered(2), "ndjson", compressed=False).idempotency_key == packed.idempotency_key
    assert gzip.decompress(packed.body) == event(0) + b"\n" + event(1) + b"\n"


async def test_a_large_batch_is_packed_beside_the_loop(hook: _Hook) -> None:
    """A megabyte arrives, although it takes the way through a thread."""
    async with hook.config().build() as sink:
        await sink.deliver(large())
    assert hook.requests[0][2] == b"\n".join(large().payloads) + b"\n"


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, PermanentError, FailureReason.REFUSED),
        (413, PermanentError, FailureReason.TOO_LARGE),
        (401, AuthError, FailureReason.AUTH),
        (404, MisconfiguredError, FailureReason.MISCONFIGURED),
        (429, ThrottledError, FailureReason.THROTTLED),
        (500, TransientError, FailureReason.SERVER),
    ],
)
async def test_an_answer_that_is_no_success_accepts_nothing(
    hook: _Hook, status: int, kind: type[McwatchError], reason: FailureReason
) -> None:
    """The error says what the dispatcher is to do; no event is singled out by guessing."""
    hook.status = status
    async with hook.config().build() as sink:
        with pytest.raises(kind) as failure:
            await sink.deliver(numbered(2))
    assert failure.type is kind
    assert failure.value.reason is reason


async def test_a_long_answer_does_not_undo_its_status(hook: _Hook) -> None:
    """A receiver that says yes at length has accepted: the batch would else be sent again without end."""
    hook.answer = b"y" * 2 * 2**20
    async with hook.config().build() as sink:
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))


async def test_of_a_long_refusal_an_excerpt_is_kept(hook: _Hook) -> None:
    """A receiver that says no at length has refused, and the dead letter gets the beginning of its words."""
    hook.status, hook.answer = 400, b"n" * 2 * 2**20
    async with hook.config().build() as sink:
        with pytest.raises(PermanentError) as failure:
            await sink.deliver(numbered(2))
    assert failure.value.reason is FailureReason.REFUSED
    assert failure.value.detail == "n" * 512


async def test_redirects_are_not_followed(hook: _Hook) -> None:
    """A redirect is a wrong URL, and the credential goes nowhere else."""
    hook.status, hook.answer_headers = 307, {"Location": "/elsewhere"}
    async with hook.config(headers={"Authorization": "Bearer x"}).build() as sink:
        with pytest.raises(MisconfiguredError):
            await sink.deliver(numbered(1))
    assert len(hook.requests) == 1


async def test_a_changed_secret_file_counts_at_once(hook: _Hook, tmp_path: Path) -> None:
    """Headers are revealed at each request; a file that is gone is named."""
    token = tmp_path / "token"
    token.write_text("Bearer one\n")
    async with hook.config(headers={"Authorization": {"file": str(token)}}).build() as sink:
        await sink.deliver(numbered(1))
        token.write_text("Bearer second\n")
        await sink.deliver(numbered(1))
        token.write_text("two\nlines")
        with pytest.raises(MisconfiguredError, match="line break"):
            await sink.deliver(numbered(1))
        token.unlink()
        with pytest.raises(MisconfiguredError, match="token"):
            await sink.deliver(numbered(1))
    assert [headers["Authorization"] for _, headers, _ in hook.requests] == ["Bearer one", "Bearer second"]


async def test_a_user_in_the_url_becomes_a_header(hook: _Hook) -> None:
    """The credential is sent as Basic authorization and the URL goes without it."""
    async with hook.config(url=hook.url.replace("http://", "http://a%40b:c%3Ad@")).build() as sink:
        await sink.deliver(numbered(1))
    assert hook.requests[0][1]["Authorization"] == "Basic YUBiOmM6ZA=="


@pytest.mark.parametrize(("status", "is_well"), [(204, True), (404, True), (405, True), (401, False), (403, False)])
async def test_check_judges_the_credential_alone(hook: _Hook, status: int, is_well: bool) -> None:
    """Any answer shows that the receiver is there; only 401 and 403 say that something is wrong."""
    hook.status = status
    async with hook.config().build() as sink:
        if is_well:
            assert hook.url.removesuffix("/in") in await sink.check()
        else:
            with pytest.raises(AuthError):
                await sink.check()
    assert [(method, body) for method, _, body in hook.requests] == [("OPTIONS", b"")]


async def test_files_that_are_missing_fail_the_delivery_not_the_start(tmp_path: Path) -> None:
    """The sink is entered with a missing CA file and says at delivery which one it is."""
    options = {"type": "http", "url": "https://127.0.0.1:9/", "tls": {"ca_file": str(tmp_path / "ca.pem")}}
    async with HttpSinkConfig.model_validate(options).build() as sink:
        with pytest.raises(MisconfiguredError, match=r"ca\.pem"):
            await sink.deliver(numbered(1))


@pytest.mark.parametrize(
    ("url", "headers", "expected"),
    [
        ("http://hook.example/", {"authorization": "x"}, True),
        ("http://user:p@hook.example/", {}, True),
        ("http://hook.example/", {"X-Other": "x"}, False),
        ("https://hook.example/", {"Authorization": "x"}, False),
        ("http://127.0.0.1:8080/", {"Authorization": "x"}, False),
        ("http://[::1]/", {"Authorization": "x"}, False),
        ("http://localhost/", {"Authorization": "x"}, False),
    ],
)
def test_a_credential_in_the_clear_is_noticed(url: str, headers: dict[str, str], expected: bool) -> None:
    """Only an Authorization header over plain HTTP to another machine is worth a warning."""
    sink = HttpSinkConfig.model_validate({"type": "http", "url": url, "headers": headers}).build()
    assert sink._target.shows_credential is expected  # type: ignore[attr-defined]  # an HttpSink


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "hook.example/in"}, "https://host"),
        ({"url": "ftp://hook.example/"}, "https://host"),
        ({"url": "http://hook.example:99999/"}, "https://host"),
        ({"url": "http://hook.example/a b"}, "percent"),
        ({"headers": {"Bad Name": "x"}}, "no header name"),
        ({"headers": {"Content-Length": "1"}}, "set by mcwatch"),
        ({"headers": {"A": "1", "a": "2"}}, "twice"),
        ({"url": "http://u:p@hook.example/", "headers": {"Authorization": "x"}}, "either"),
        ({"timeout": "0"}, "greater"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], words: str) -> None:
    """Each wrong option is named when the configuration is read, without quoting a value."""
    with pytest.raises(ValidationError, match=words) as failure:
        HttpSinkConfig.model_validate({"type": "http", "url": "https://hook.example/"} | options)
    assert "u:p" not in str(failure.value)


@pytest.mark.parametrize(("events", "beside"), [(250, True), (2, False)])
async def test_packing_does_not_hold_up_the_loop(
    hook: _Hook, monkeypatch: pytest.MonkeyPatch, events: int, beside: bool
) -> None:
    """A large batch is packed in a thread, a small one where it is, which is sooner."""
    threads: list[int] = []

    def noted(batch: Batch, body: Body, *, compressed: bool) -> Request:
        threads.append(threading.get_ident())
        return request_of(batch, body, compressed=compressed)

    monkeypatch.setattr("mcwatch.sinks.http.request_of", noted)
    async with hook.config().build() as sink:
        await sink.deliver(large().slice(0, events) if beside else numbered(events))
    assert [thread != threading.get_ident() for thread in threads] == [beside]
