"""The http sink against a server on loopback."""

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
from tests.contract.sink_events import event, large, numbered
from tests.unit.sinks.http.hook import Hook, Received, Say


def _always(status: int, body: bytes = b"", **headers: str) -> Callable[[Received], Say]:
    return lambda _: Say(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("options", "content_type", "body"),
    [
        ({}, "application/x-ndjson", event(0) + b"\n" + event(1) + b"\n"),
        ({"body": "array", "method": "PUT"}, "application/json", b"[" + event(0) + b"," + event(1) + b"]"),
        ({"compression": "none"}, "application/x-ndjson", event(0) + b"\n" + event(1) + b"\n"),
        ({"compression": "zstd"}, "application/x-ndjson", event(0) + b"\n" + event(1) + b"\n"),
        ({"headers": {"content-type": "text/plain"}}, "text/plain", event(0) + b"\n" + event(1) + b"\n"),
    ],
)
async def test_a_batch_is_one_request(hook: Hook, options: dict[str, Any], content_type: str, body: bytes) -> None:
    """Method, body, packing and headers are those configured."""
    async with hook.config(**options).build() as sink:
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))
    (request,) = hook.requests
    expected = {"none": None}.get(options.get("compression", "gzip"), options.get("compression", "gzip"))
    assert (options.get("method", "POST"), content_type) == (request.method, request.headers["Content-Type"])
    assert (expected, body) == (request.headers.get("Content-Encoding"), request.body)


async def test_a_large_batch_arrives(hook: Hook) -> None:
    """A megabyte arrives, although it takes the way through a thread."""
    async with hook.config().build() as sink:
        await sink.deliver(large())
    assert b"\n".join(large().payloads) + b"\n" == hook.requests[0].body


async def test_text_for_an_array_is_not_sent(hook: Hook) -> None:
    """A destination whose format cannot stand in an array is down with a remedy; no event is to blame."""
    async with hook.config(body="array").build() as sink:
        with pytest.raises(MisconfiguredError):
            await sink.deliver(Batch((event(0),), (b"CEF:0|",), "text/plain"))
    assert [] == hook.requests


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
    hook: Hook, status: int, kind: type[McwatchError], reason: FailureReason
) -> None:
    """The error says what the dispatcher is to do; no event of a batch is singled out by guessing."""
    hook.says = _always(status)
    async with hook.config().build() as sink:
        with pytest.raises(kind) as failure:
            await sink.deliver(numbered(2))
    assert (kind, reason) == (failure.type, failure.value.reason)


async def test_a_conflict_is_no_word_on_the_events(hook: Hook) -> None:
    """409 says that a request of the same idempotency key is still being worked on: it is asked again, not halved."""
    hook.says = _always(409)
    async with hook.config().build() as sink:
        with pytest.raises(TransientError) as failure:
            await sink.deliver(numbered(2))
    assert "409 to success" in failure.value.remedy
    async with hook.config(success=[200, 409]).build() as sink:
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))


@pytest.mark.parametrize(
    ("success", "status", "accepted"), [([], 299, True), ([202], 202, True), ([202], 200, False), ([200], 204, False)]
)
async def test_the_statuses_of_success_decide(hook: Hook, success: list[int], status: int, accepted: bool) -> None:
    """With success configured another 2xx is no acceptance: the batch stays and the remedy says why."""
    hook.says = _always(status)
    async with hook.config(success=success).build() as sink:
        if accepted:
            assert ALL_ACCEPTED == await sink.deliver(numbered(2))
            return
        with pytest.raises(TransientError) as failure:
            await sink.deliver(numbered(2))
    assert FailureReason.BAD_RESPONSE == failure.value.reason
    assert f"add {status} to success" in failure.value.remedy


async def test_a_long_answer_does_not_undo_its_status(hook: Hook) -> None:
    """A receiver that says yes at length has accepted: the batch would else be sent again without end."""
    hook.says = _always(200, b"y" * 2 * 2**20)
    async with hook.config().build() as sink:
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))


async def test_of_a_long_refusal_an_excerpt_is_kept(hook: Hook) -> None:
    """A receiver that says no at length has refused, and the dead letter gets the beginning of its words."""
    hook.says = _always(400, b"n" * 2 * 2**20)
    async with hook.config().build() as sink:
        with pytest.raises(PermanentError) as failure:
            await sink.deliver(numbered(2))
    assert (FailureReason.REFUSED, "n" * 512) == (failure.value.reason, failure.value.detail)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(hook: Hook, status: int) -> None:
    """A redirect is a wrong URL, and the credential goes nowhere else."""
    hook.says = _always(status, Location="/elsewhere")
    async with hook.config(bearer="x").build() as sink:
        with pytest.raises(MisconfiguredError) as failure:
            await sink.deliver(numbered(1))
    assert "final URL" in failure.value.remedy
    assert 1 == len(hook.requests)


async def test_every_request_is_signed_as_it_is_sent(hook: Hook) -> None:
    """The signature is over the packed bytes, and on the question of check, too."""
    async with hook.config(signature={"secret": "key", "header": "X-S", "timestamp_header": "X-T"}).build() as sink:
        await sink.deliver(numbered(2))
        await sink.check()
    assert ["POST", "OPTIONS"] == [request.method for request in hook.requests]
    for request in hook.requests:
        signed = request.headers["X-T"].encode() + b"." + request.raw
        assert "sha256=" + hmac.new(b"key", signed, hashlib.sha256).hexdigest() == request.headers["X-S"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"bearer": "t0ken"}, "Bearer t0ken"),
        ({"username": "a@b", "password": "c:d"}, "Basic YUBiOmM6ZA=="),
        ({"headers": {"Authorization": "Key 1"}}, "Key 1"),
        ({}, None),
    ],
)
async def test_credentials(hook: Hook, options: dict[str, Any], expected: str | None) -> None:
    """Each way to give a credential is the header it stands for."""
    async with hook.config(**options).build() as sink:
        await sink.deliver(numbered(1))
    assert expected == hook.requests[0].headers.get("Authorization")


async def test_a_user_in_the_url_becomes_a_header(hook: Hook) -> None:
    """The credential is sent as Basic authorization and the URL goes without it."""
    async with hook.config(url=hook.url.replace("http://", "http://a%40b:c%3Ad@")).build() as sink:
        await sink.deliver(numbered(1))
    assert "Basic YUBiOmM6ZA==" == hook.requests[0].headers["Authorization"]


@pytest.mark.parametrize("option", ["bearer", "password"])
async def test_a_credential_file_that_is_empty_is_named(hook: Hook, tmp_path: Path, option: str) -> None:
    """A secret not yet filled takes the destination down before anything is sent, and names the option."""
    secret = tmp_path / "secret"
    secret.write_text("\n")
    user = {"username": "u"} if option == "password" else {}
    async with hook.config(**user, **{option: {"file": str(secret)}}).build() as sink:
        with pytest.raises(MisconfiguredError, match=f"{option} is empty"):
            await sink.deliver(numbered(1))
    assert [] == hook.requests


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (204, None), (404, None), (405, None), (400, None), (500, None), (501, None),
        (401, AuthError), (403, AuthError), (308, MisconfiguredError), (496, MisconfiguredError),
        (502, TransientError), (503, TransientError), (504, TransientError),
    ],
)  # fmt: skip
async def test_check_judges_what_it_can(hook: Hook, status: int, error: type[McwatchError] | None) -> None:
    """A hook need not know OPTIONS; a refused credential, a redirect and a gateway with nobody behind it tell."""
    hook.says = _always(status)
    async with hook.config().build() as sink:
        if error is None:
            assert f"{hook.url.removesuffix('/in')} answers" == await sink.check()
        else:
            with pytest.raises(error):
                await sink.check()
    assert [("OPTIONS", b"")] == [(request.method, request.raw) for request in hook.requests]


async def test_check_asks_every_url(hook: Hook) -> None:
    """A second URL that refuses the credential is found before it is needed."""
    hook.says = lambda request: Say(401 if len(hook.requests) == 2 else 204)
    async with hook.config(url=[hook.url, hook.url + "/b"]).build() as sink:
        with pytest.raises(AuthError):
            await sink.check()
    assert 2 == len(hook.requests)


@pytest.mark.parametrize(("options", "warns"), [({"bearer": "x"}, True), ({"headers": {"X-Key": "x"}}, False)])
async def test_check_warns_of_a_credential_in_the_clear(hook: Hook, options: dict[str, Any], warns: bool) -> None:
    """An Authorization header over plain HTTP to another machine is said where the operator looks."""
    proxy = hook.url.removesuffix("/in")  # it answers for the host that the test cannot reach
    async with hook.config(url="http://hook.example/in", proxy=proxy, **options).build() as sink:
        assert warns is ("in the clear" in await sink.check())
