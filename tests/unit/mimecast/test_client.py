"""One account's client against a scripted API on a real socket."""

import asyncio
import uuid

import pytest

from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    ThrottledError,
    TransientError,
)
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.errors import BindingExpired, HistoryExceeded, PageTokenInvalid, SignatureRefused, TokenExpired
from mcwatch.mimecast.quota import Priority
from tests.unit.mimecast.api import ANYTHING, HMAC, OAUTH2, Reply, scripted

FINDER, QUEUE = Endpoint.MESSAGE_FINDER, Endpoint.PROCESSING_QUEUE
ITEM = {"start": "2026-01-05T09:30:00+0000"}


def failing(status: int, code: str, http_status: int | None = None) -> Reply:
    """Give a flat failure."""
    body = {"meta": {"status": status}, "data": [], "fail": [{"code": code, "message": "secret words"}]}
    return Reply(http_status or status, body)


@pytest.mark.parametrize(
    ("page", "meta"),
    [
        ({}, {}),
        ({"page_size": 100}, {"meta": {"pagination": {"pageSize": 100}}}),
        (
            {"page_size": 100, "page_token": "eN"},
            {"meta": {"pagination": {"pageSize": 100, "pageToken": "eN"}}},
        ),
    ],
)
async def test_the_request(page: dict[str, object], meta: dict[str, object]) -> None:
    """One data item and the paging asked for are posted as JSON with the bearer token."""
    async with scripted(OAUTH2) as (api, client):
        await client.call(FINDER, ITEM, ANYTHING, **page)  # type: ignore[arg-type]  # parametrised keywords
    assert ["/oauth/token", "/api/message-finder/search"] == api.paths()
    token, call = api.asked
    assert b"grant_type=client_credentials&client_id=id&client_secret=hunter2" == token.body
    assert "application/x-www-form-urlencoded" == token.headers["Content-Type"]
    assert {**meta, "data": [ITEM]} == call.json
    assert ("Bearer token-1", "application/json") == (call.headers["Authorization"], call.headers["Content-Type"])


async def test_the_answer() -> None:
    """Items, next token and figures come back, and the request is counted and timed."""
    body = {"meta": {"status": 200, "pagination": {"next": "eN", "totalCount": 7, "pageSize": 1}}, "data": [{"a": 1}]}
    async with scripted(HMAC) as (api, client):
        api.replies = [Reply(body=body)]
        answer = await client.call(FINDER, ITEM, ANYTHING)
    assert ("eN", 7, 1, 1) == (answer.next_token, answer.total_count, answer.page_size, len(answer.items or []))
    assert 1 == api.count("message_finder", "ok")
    labels = {"account": "acme", "endpoint": "message_finder"}
    assert 1 == api.metrics.registry.get_sample_value("mcwatch_api_request_duration_seconds_count", labels)


async def test_hmac_calls_are_signed_and_need_no_token() -> None:
    """An API 1.0 call carries its signature headers and is the only request."""
    async with scripted(HMAC) as (api, client):
        await client.call(QUEUE, ITEM, ANYTHING)
    (call,) = api.asked
    assert call.headers["Authorization"].startswith("MC c:")
    assert ("a", "Mon, 05 Jan 2026 09:30:00 UTC") == (call.headers["x-mc-app-id"], call.headers["x-mc-date"])
    assert 4 == uuid.UUID(call.headers["x-mc-req-id"]).version


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, b"<html>down</html>"),
        Reply(502, b""),
        Reply(503, b"busy"),
        Reply(504, b"{}"),
        Reply(200, b"<html>proxy</html>"),
        Reply(200, b""),
        Reply(200, b'{"data":[{"rows":['),
        failing(200, "err_unknown"),
        failing(401, "Unauthorized Request"),
        failing(401, "unauthorized"),
        Reply(401, b""),
    ],
    ids=lambda reply: f"{reply.status}",
)
async def test_what_passes_is_retried(reply: Reply) -> None:
    """Failures that may pass cost a short wait and another attempt, signed anew."""
    async with scripted(HMAC) as (api, client):
        api.replies = [reply, reply]
        await client.call(FINDER, ITEM, ANYTHING)
    assert 3 == len({asked.headers["x-mc-req-id"] for asked in api.asked})
    assert 2 == len(api.clock.sleeps)
    assert max(api.clock.sleeps) <= 1.0


async def test_a_time_out_is_retried_once() -> None:
    """Each has taken its whole time already, which others wait for."""
    async with scripted(HMAC) as (api, client):
        api.replies = [Reply(408, b""), Reply(408, b"")]
        with pytest.raises(TransientError):
            await client.call(FINDER, ITEM, ANYTHING)
    assert 2 == len(api.asked)


@pytest.mark.parametrize(
    ("reply", "kind", "outcome"),
    [
        (Reply(500, b""), TransientError, "server"),
        (Reply(200, b"<html>"), TransientError, "bad_response"),
        (failing(401, "token_verification_failed"), AuthError, "auth"),
        (Reply(401, b""), AuthError, "auth"),
    ],
)
async def test_retries_end(reply: Reply, kind: type[McwatchError], outcome: str) -> None:
    """After four attempts the error comes out; 401s that stay become an AuthError."""
    async with scripted(HMAC) as (api, client):
        api.replies = [reply] * 9
        with pytest.raises(McwatchError) as caught:
            await client.call(FINDER, ITEM, ANYTHING)
    assert (kind, 4, 4) == (type(caught.value), len(api.asked), api.count("message_finder", outcome))
    assert "secret words" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(403, {"fail": [{"code": "app_forbidden"}]}), AuthError),
        (Reply(418, b""), BindingExpired),
        (failing(401, "err_developer_key"), AuthError),
        (Reply(404, b"<html>"), MisconfiguredError),
        (Reply(302, b"", {"Location": "https://elsewhere.example"}), MisconfiguredError),
        (Reply(400, b""), PermanentError),
        (failing(200, "err_track_and_trace_invalid_start_date"), HistoryExceeded),
        (failing(200, "xdk_failure"), PageTokenInvalid),
    ],
)
async def test_what_stays_is_raised_at_once(reply: Reply, kind: type[McwatchError]) -> None:
    """Failures that another attempt cannot mend are raised after one request."""
    async with scripted(HMAC) as (api, client):
        api.replies = [reply]
        with pytest.raises(kind) as caught:
            await client.call(FINDER, ITEM, ANYTHING)
    assert (kind, 1) == (type(caught.value), len(api.asked))


async def test_418_says_what_to_do() -> None:
    """An expired binding names the profile setting that prevents it."""
    async with scripted(HMAC) as (api, client):
        api.replies = [Reply(418, b"")]
        with pytest.raises(BindingExpired) as caught:
            await client.call(FINDER, ITEM, ANYTHING)
    assert "never expires" in caught.value.remedy


async def test_an_expired_token_is_renewed_and_the_request_repeated_once() -> None:
    """token_expired costs a new token and the same request again, without any wait."""
    async with scripted(OAUTH2) as (api, client):
        api.replies = [failing(401, "token_expired")]
        await client.call(FINDER, ITEM, ANYTHING)
        await client.call(FINDER, ITEM, ANYTHING)
    tokens = [asked.headers["Authorization"] for asked in api.asked if asked.path == FINDER.path]
    assert ["Bearer token-1", "Bearer token-2", "Bearer token-2"] == tokens
    assert [] == api.clock.sleeps


async def test_a_token_that_is_always_expired_is_an_auth_error() -> None:
    """The repetition happens once: two tokens refused in a row are a failure."""
    async with scripted(OAUTH2) as (api, client):
        api.replies = [failing(401, "token_expired")] * 5
        with pytest.raises(TokenExpired):
            await client.call(FINDER, ITEM, ANYTHING)
    assert 2 == len(api.paths(FINDER.path))


async def test_a_token_not_accepted_is_replaced_before_the_next_attempt() -> None:
    """token_verification_failed is retried with a new token."""
    async with scripted(OAUTH2) as (api, client):
        api.replies = [failing(401, "token_verification_failed")]
        await client.call(FINDER, ITEM, ANYTHING)
    assert 2 == len(api.paths("/oauth/token"))


async def test_a_refused_signature_is_repeated_once_with_the_servers_time() -> None:
    """A clock wrong by hours costs one refused request: the answer's Date corrects the next signature."""
    async with scripted(HMAC) as (api, client):
        api.server_ahead_secs = 7200.0
        api.replies = [failing(401, "err_xdk_invalid_signature")]
        await client.call(FINDER, ITEM, ANYTHING)
        assert client.skew_secs == pytest.approx(7200, abs=1)
        assert (client.server_now() - api.clock.now()).total_seconds() == pytest.approx(7200, abs=1)
    assert ["09:30", "11:30"] == [asked.headers["x-mc-date"][17:22] for asked in api.asked]
    assert [] == api.clock.sleeps


async def test_a_signature_refused_twice_is_an_auth_error() -> None:
    """With fresh date and id refused again, the keys are wrong."""
    async with scripted(HMAC) as (api, client):
        api.replies = [failing(401, "err_xdk_invalid_signature")] * 3
        with pytest.raises(SignatureRefused):
            await client.call(FINDER, ITEM, ANYTHING)
    assert 2 == len(api.asked)


@pytest.mark.parametrize(
    ("headers", "earliest"), [({"X-RateLimit-Reset": "30000"}, 30.0), ({"Retry-After": "12"}, 12.0), ({}, 60.0)]
)
async def test_a_429_is_waited_for(headers: dict[str, str], earliest: float) -> None:
    """After a 429 nothing is sent before the time told, or a minute; then the call goes on."""
    async with scripted(HMAC) as (api, client):
        api.replies = [Reply(429, b"", headers)]
        await client.call(FINDER, ITEM, ANYTHING)
    assert api.clock.monotonic() >= earliest
    assert 1 == api.count("message_finder", "throttled")


async def test_a_long_429_fails_the_call_and_keeps_the_gate_closed() -> None:
    """A pause of minutes is handed to the poller; the next call of the account waits for it."""
    async with scripted(HMAC) as (api, client):
        api.replies = [Reply(429, b"", {"X-RateLimit-Reset": "600000"})]
        with pytest.raises(ThrottledError) as caught:
            await client.call(FINDER, ITEM, ANYTHING)
        assert (600.0, 0.0) == (caught.value.retry_after_secs, api.clock.monotonic())
        await client.call(QUEUE, ITEM, ANYTHING)
    assert api.clock.monotonic() >= 600.0


async def test_a_refused_call_waits_in_its_place_at_the_gate() -> None:
    """What is repeated after a 429 goes before what is less urgent, and its wait counts as pressure."""
    async with scripted(HMAC) as (api, client):
        api.replies = [Reply(429, b"", {"X-RateLimit-Reset": "30000"})]
        arrived = asyncio.Event()
        api.before_answer = arrived.set
        async with asyncio.TaskGroup() as group:
            group.create_task(client.call(FINDER, ITEM, ANYTHING))
            await arrived.wait()
            group.create_task(client.call(QUEUE, ITEM, ANYTHING, priority=Priority.BACKFILL))
        assert [FINDER.path, FINDER.path, QUEUE.path] == api.paths()
        assert client.pressure.waited_share > 0.9
        assert client.pressure.sent_per_minute == pytest.approx(6.0, abs=0.5)


async def test_how_long_a_call_would_wait_is_told() -> None:
    """Who has a choice can ask before it waits."""
    async with scripted(HMAC) as (api, client):
        headers = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "40000"}
        api.replies = [Reply(headers=headers)]
        await client.call(FINDER, ITEM, ANYTHING)
        waits = [client.wait_secs(QUEUE, priority) for priority in (Priority.QUEUE, Priority.RESCAN)]
    assert [10.0, 40.0] == waits


async def test_a_used_up_quota_stops_its_scope_alone() -> None:
    """With OAuth2, Remaining 0 on the finder lets the queue go on."""
    async with scripted(OAUTH2) as (api, client):
        api.replies = [Reply(headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30000"})]
        await client.call(FINDER, ITEM, ANYTHING)
        await client.call(QUEUE, ITEM, ANYTHING, priority=Priority.QUEUE)
        assert 0.0 == api.clock.monotonic()
        await client.call(FINDER, ITEM, ANYTHING)
    assert api.clock.monotonic() >= 30.0


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(401, {"error": "invalid_client", "error_description": "secret words"}), AuthError),
        (Reply(400, {"error": "unauthorized_client"}), AuthError),
        (Reply(403, {"fail": [{"code": "app_forbidden", "message": "secret words"}]}), AuthError),
        (Reply(200, {"fail": [{"code": "invalid_client"}]}), AuthError),
        (Reply(404, b"<html>"), MisconfiguredError),
    ],
)
async def test_a_refused_token_request(reply: Reply, kind: type[McwatchError]) -> None:
    """Both error bodies of the token endpoint are read; the API is not called without a token."""
    async with scripted(OAUTH2) as (api, client):
        api.token_replies = [reply]
        with pytest.raises(kind) as caught:
            await client.call(FINDER, ITEM, ANYTHING)
    assert (kind, ["/oauth/token"]) == (type(caught.value), api.paths())
    for text in ("secret words", "hunter2"):
        assert text not in str(caught.value) + caught.value.remedy


async def test_token_requests_are_retried() -> None:
    """A token endpoint that stumbles is asked again within the call."""
    async with scripted(OAUTH2) as (api, client):
        api.token_replies = [Reply(503, b""), Reply(200, b"<html>")]
        await client.call(FINDER, ITEM, ANYTHING)
    assert [3, 1] == [len(api.paths("/oauth/token")), len(api.paths(FINDER.path))]
    assert [1, 1, 1] == [api.count("token", outcome) for outcome in ("server", "bad_response", "ok")]


async def test_concurrent_calls_share_the_token() -> None:
    """Several sources at once cost one token."""
    async with scripted(OAUTH2) as (api, client), asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(client.call(FINDER, ITEM, ANYTHING))
    assert (1, 5) == (len(api.paths("/oauth/token")), len(api.paths(FINDER.path)))


async def test_the_ceiling_holds_for_all_endpoints_together() -> None:
    """Queue, finder and token requests share max_requests_per_minute."""
    async with scripted(OAUTH2, max_requests_per_minute=6) as (api, client):
        for _ in range(6):
            await client.call(FINDER, ITEM, ANYTHING)
            await client.call(QUEUE, ITEM, ANYTHING)
    assert 13 == len(api.asked)
    assert api.clock.monotonic() >= 119.0


async def test_too_large_an_answer_is_refused() -> None:
    """An answer over max_answer is a transient error with its own reason."""
    async with scripted(HMAC, max_answer="1KiB") as (api, client):
        api.replies = [Reply(body=b'{"data":["' + b"x" * 5000 + b'"]}')] * 4
        with pytest.raises(TransientError) as caught:
            await client.call(FINDER, ITEM, ANYTHING)
    assert FailureReason.TOO_LARGE == caught.value.reason


async def test_an_unreachable_api_is_counted_by_its_reason() -> None:
    """Requests that got no answer count too."""
    async with scripted(HMAC, base_url="http://127.0.0.1:1") as (api, client):
        with pytest.raises(TransientError):
            await client.call(FINDER, ITEM, ANYTHING)
    assert 4 == api.count("message_finder", "connection")


async def test_use_outside_the_context_is_a_programming_error() -> None:
    """A client that was left refuses to work."""
    async with scripted(HMAC) as (_, client):
        pass
    with pytest.raises(RuntimeError):
        await client.call(FINDER, ITEM, ANYTHING)


async def test_preparing_gets_a_token_and_the_time() -> None:
    """With API 2.0 the token's answer tells the API's clock before any call; a failure that passes is outlived."""
    async with scripted(OAUTH2) as (api, client):
        api.server_ahead_secs = 7200.0
        api.token_replies.append(Reply(502))
        await client.prepare()
        assert client.skew_secs is not None
        assert abs(client.skew_secs - 7200.0) < 2.0
        await client.call(QUEUE, ITEM, ANYTHING)
    assert ["/oauth/token", "/oauth/token", QUEUE.path] == api.paths()


async def test_preparing_is_nothing_for_api_1() -> None:
    """A signature needs no answer of anybody."""
    async with scripted(HMAC) as (api, client):
        await client.prepare()
        assert (None, []) == (client.skew_secs, api.asked)


async def test_preparing_with_credentials_that_are_refused() -> None:
    """A refusal without a reason is the credentials' when it stays."""
    async with scripted(OAUTH2) as (api, client):
        api.token_replies += [Reply(401, b"")] * 4
        with pytest.raises(AuthError):
            await client.prepare()
        assert 4 == len(api.asked)
