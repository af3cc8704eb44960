"""The error table of reference notes E as what the client does: requests sent, time waited, and what comes out.

Every row is met twice where the simulator can produce it: once there, with its own idea of the answer, once with the
answer spelt out.
"""

from dataclasses import dataclass, field

import pytest

from mcwatch.domain.errors import (
    AuthError,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    ThrottledError,
    TransientError,
)
from mcwatch.mimecast.client import RETRIES
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.errors import (
    BindingExpired,
    FilterRequired,
    HistoryExceeded,
    PageTokenInvalid,
    SignatureRefused,
    TokenExpired,
)
from mcwatch.mimecast.quota import Priority, QuotaGate
from mcwatch.simulator import AccountConfig, Fault, QuotaConfig, SimulatorConfig
from tests.unit.mimecast.api import ANYTHING, HMAC, OAUTH2, Reply, scripted
from tests.unit.mimecast.world import FOUND, run
from tests.unit.mimecast.world import HMAC as SIMULATED_HMAC
from tests.unit.mimecast.world import OAUTH2 as SIMULATED_OAUTH2

FINDER = Endpoint.MESSAGE_FINDER
ITEM = {"start": "2026-01-05T09:30:00+0000"}
SHORT_SECS = 3.5  # the three jittered waits between four attempts: at most 0.5, 1 and 2 s
ALWAYS = 99


@dataclass(frozen=True)
class Row:
    """An answer given so many times in a row, and what is to come of it."""

    name: str
    reply: Reply
    times: int
    auth: dict[str, str]
    asked: int
    kind: type[McwatchError] | None
    waited: tuple[float, float] = (0.0, 0.0)
    tokens: int = field(default=1)


def nested(status: int, code: str, message: str = "secret words", *, retryable: bool = False) -> Reply:
    """Give a function's failure."""
    error = {"code": code, "message": message, "retryable": retryable}
    return Reply(status, {"meta": {"status": status}, "data": [], "fail": [{"errors": [error]}]})


def flat(status: int, code: str, message: str = "secret words") -> Reply:
    """Give a failure of the 2.0 gateway."""
    return Reply(status, {"fail": [{"code": code, "message": message}]})


def at_once(name: str, reply: Reply, kind: type[McwatchError]) -> list[Row]:
    """Make the rows of a failure that no repetition mends."""
    return [Row(f"{name} ({auth['type']})", reply, ALWAYS, auth, 1, kind) for auth in (HMAC, OAUTH2)]


def passing(name: str, reply: Reply, auth: dict[str, str] = HMAC) -> list[Row]:
    """Make the rows of a failure that is retried with backoff: once, and for ever."""
    return [
        Row(f"{name} once", reply, 1, auth, 2, None, (0.001, 0.5)),
        Row(f"{name} stays", reply, ALWAYS, auth, RETRIES.attempts, TransientError, (0.001, SHORT_SECS)),
    ]


def unsteady(name: str, reply: Reply, tokens: int = 1) -> list[Row]:
    """Make the rows of a 401 that good credentials meet too; ``tokens`` where each attempt takes a new one."""
    stays = RETRIES.attempts if tokens > 1 else 1
    return [
        Row(f"{name} once", reply, 1, OAUTH2, 2, None, (0.001, 0.5), tokens),
        Row(f"{name} twice", reply, 2, OAUTH2, 3, None, (0.001, 1.5), tokens + (tokens > 1)),
        Row(f"{name} stays", reply, ALWAYS, OAUTH2, RETRIES.attempts, AuthError, (0.001, SHORT_SECS), stays),
    ]


ROWS = [
    *at_once("400 null", nested(400, "err_validation_null"), PermanentError),
    *at_once("400 blank", nested(400, "err_validation_blank"), PermanentError),
    *at_once("400 not allowed", nested(400, "err_validation_value_not_allowed"), PermanentError),
    *at_once("400 address", nested(400, "err_validation_invalid_email_address"), PermanentError),
    *at_once("200 no filter", nested(200, "err_validation_at_least_one_not_null"), FilterRequired),
    *at_once("400 no filter", nested(400, "err_validation_at_least_one_not_null"), FilterRequired),
    *at_once("200 start date", nested(200, "err_track_and_trace_invalid_start_date"), HistoryExceeded),
    *at_once("400 empty", Reply(400, b""), PermanentError),
    *at_once("400 0001", nested(400, "", "0001 Credentials missing"), AuthError),
    Row("401 signature once", nested(401, "err_xdk_invalid_signature"), 1, HMAC, 2, None),
    Row("401 signature stays", nested(401, "err_xdk_invalid_signature"), ALWAYS, HMAC, 2, SignatureRefused),
    Row("401 0004 stays", nested(401, "", "0004 Invalid signature"), ALWAYS, HMAC, 2, SignatureRefused),
    *at_once("401 0001", nested(401, "", "0001 Not allowed"), AuthError),
    *at_once("401 developer key", nested(401, "err_developer_key"), AuthError),
    Row("401 token expired once", flat(401, "token_expired"), 1, OAUTH2, 2, None, tokens=2),
    Row("401 token expired stays", flat(401, "token_expired"), ALWAYS, OAUTH2, 2, TokenExpired, tokens=2),
    *unsteady("401 verification", flat(401, "token_verification_failed"), tokens=2),
    *unsteady("401 Unauthorized Request", flat(401, "Unauthorized Request")),
    *unsteady("401 unauthorized", flat(401, "unauthorized")),
    *unsteady("401 bare", Reply(401, b"")),
    *at_once("403 app_forbidden", flat(403, "app_forbidden"), AuthError),
    *at_once("403 address", nested(403, "err_xdk_operation_forbidden_for_address"), AuthError),
    *at_once("403 0003", nested(403, "", "0003 Forbidden"), AuthError),
    *at_once("xdk_failure", nested(200, "xdk_failure"), PageTokenInvalid),
    *at_once("0007", nested(500, "", "0007 Invalid token"), PageTokenInvalid),
    *at_once("404", Reply(404, b"<html>"), MisconfiguredError),
    *at_once("405", flat(405, "method_not_allowed"), MisconfiguredError),
    *at_once("409", Reply(409, b""), PermanentError),
    *at_once("418", Reply(418, b""), BindingExpired),
    *at_once("418 code", nested(418, "err_xdk_binding_expired"), BindingExpired),
    Row("429 told", Reply(429, b"", {"X-RateLimit-Reset": "7000"}), 1, HMAC, 2, None, (7.0, 7.6)),
    Row("429 untold", flat(429, "too_many"), 1, OAUTH2, 2, None, (60.0, 60.6)),
    Row("429 long", Reply(429, b"", {"X-RateLimit-Reset": "600000"}), 1, HMAC, 1, ThrottledError),
    Row("429 stays", Reply(429, b"", {"X-RateLimit-Reset": "7000"}), ALWAYS, HMAC, 12, ThrottledError, (77.0, 84.0)),
    *passing("500 HTML", Reply(500, b"<html>down</html>")),
    *passing("502 empty", Reply(502, b"")),
    *passing("503 text", Reply(503, b"busy")),
    *passing("504 JSON of others", Reply(504, b'{"a":1}')),
    *passing("500 of 2.0", Reply(500, b"<html>down</html>"), OAUTH2),
    Row("503 told", Reply(503, b"", {"Retry-After": "9"}), 1, HMAC, 2, None, (9.0, 9.6)),
    *passing("200 unknown code", nested(200, "err_internal", retryable=True)),
    *at_once("200 unknown code, final", nested(200, "err_internal"), PermanentError),
    *passing("200 meta 503", Reply(200, {"meta": {"status": 503}, "data": [], "fail": []})),
    *at_once("200 meta 403", Reply(200, {"meta": {"status": 403}, "data": [], "fail": []}), AuthError),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_what_the_client_does(row: Row) -> None:
    """Requests, tokens, waits and the kind of error are those of the table; the vendor's words stay out."""
    async with scripted(row.auth) as (api, client):
        api.replies = [row.reply] * row.times
        error: McwatchError | None = None
        try:
            await client.call(FINDER, ITEM, ANYTHING)
        except McwatchError as raised:
            error = raised
        if row.reply.headers and error:
            assert client.quota_seen(FINDER).closed_for_secs > 0
    assert row.kind is (None if error is None else type(error))
    assert "secret words" not in str(error)
    assert row.asked == len(api.paths(FINDER.path))
    assert (row.tokens if row.auth is OAUTH2 else 0) == len(api.paths("/oauth/token"))
    assert row.waited[0] <= api.clock.monotonic() <= row.waited[1] + 0.05


@pytest.mark.parametrize(
    ("auth", "fault", "asked", "kind", "waited"),
    [
        (SIMULATED_HMAC, Fault("fail_ok", code="err_validation_null"), 1, PermanentError, 0.0),
        (SIMULATED_HMAC, Fault("fail_ok", code="err_track_and_trace_invalid_start_date"), 1, HistoryExceeded, 0.0),
        (SIMULATED_HMAC, Fault("fail_ok", code="xdk_failure"), 1, PageTokenInvalid, 0.0),
        (SIMULATED_HMAC, Fault("fail_ok"), 2, None, 0.5),
        (SIMULATED_HMAC, Fault("fail_ok", times=ALWAYS), 4, TransientError, SHORT_SECS),
        (SIMULATED_HMAC, Fault("empty_body", status=400), 1, PermanentError, 0.0),
        (SIMULATED_HMAC, Fault("unverified"), 2, None, 0.0),
        (SIMULATED_HMAC, Fault("unverified", times=ALWAYS), 2, SignatureRefused, 0.0),
        (SIMULATED_HMAC, Fault("binding"), 1, BindingExpired, 0.0),
        (SIMULATED_OAUTH2, Fault("token_expired"), 2, None, 0.0),
        (SIMULATED_OAUTH2, Fault("token_expired", times=ALWAYS), 2, TokenExpired, 0.0),
        (SIMULATED_OAUTH2, Fault("unverified", times=3), 4, None, SHORT_SECS),
        (SIMULATED_OAUTH2, Fault("unverified", times=ALWAYS), 4, AuthError, SHORT_SECS),
        (SIMULATED_OAUTH2, Fault("forbidden"), 1, AuthError, 0.0),
        (SIMULATED_HMAC, Fault("forbidden", code="err_xdk_operation_forbidden_for_address"), 1, AuthError, 0.0),
        (SIMULATED_OAUTH2, Fault("throttle", after_secs=20.0), 2, None, 20.5),
        (SIMULATED_OAUTH2, Fault("throttle", after_secs=120.0), 1, ThrottledError, 0.0),
        (SIMULATED_HMAC, Fault("error_html", status=500, times=3), 4, None, SHORT_SECS),
        (SIMULATED_HMAC, Fault("error_html", status=504, times=ALWAYS), 4, TransientError, SHORT_SECS),
        (SIMULATED_HMAC, Fault("empty_body", status=502, times=ALWAYS), 4, TransientError, SHORT_SECS),
        (SIMULATED_HMAC, Fault("meta_error", status=403), 1, AuthError, 0.0),
        (SIMULATED_HMAC, Fault("meta_error", status=500), 2, None, 0.5),
        (SIMULATED_HMAC, Fault("reset_before", times=ALWAYS), 4, TransientError, SHORT_SECS),
        (SIMULATED_HMAC, Fault("reset_body", times=ALWAYS), 4, TransientError, SHORT_SECS),
        (SIMULATED_HMAC, Fault("cut_json", times=ALWAYS), 4, TransientError, SHORT_SECS),
        (SIMULATED_HMAC, Fault("html_ok", times=ALWAYS), 4, TransientError, SHORT_SECS),
    ],
    ids=lambda value: (
        f"{value.kind}-{value.code or value.status or ''}-{value.times}" if isinstance(value, Fault) else ""
    ),
)
async def test_what_the_client_does_with_the_simulators_faults(
    auth: dict[str, str], fault: Fault, asked: int, kind: type[McwatchError] | None, waited: float
) -> None:
    """The simulator, which knows nothing of the table, meets the same behaviour; the next call is a sound one."""
    async with run(auth, SimulatorConfig.quiet()) as world:
        await world.client.prepare()
        world.simulator.script(fault)
        error: McwatchError | None = None
        try:
            await world.client.call(FINDER, world.search(), FOUND)
        except McwatchError as raised:
            error = raised
        assert kind is (None if error is None else type(error))
        assert asked == world.simulator.stats.requests["finder"]
        assert world.clock.monotonic() <= waited + 0.05
        world.simulator.faults.clear()
        await world.client.call(FINDER, world.search(), FOUND)


async def test_a_silent_quota_is_found_out_by_its_refusals() -> None:
    """With no rate header at all a 429 costs a minute, and far fewer calls are refused than are made."""
    config = SimulatorConfig(quota=QuotaConfig(calls=10, headers=False), mails_per_minute=0.0)
    async with run(SIMULATED_HMAC, config, max_requests_per_minute=600) as world:
        for _ in range(60):
            await world.client.call(FINDER, world.search(), FOUND)
        assert 5 >= world.simulator.stats.throttled


async def test_retries_keep_the_priority_of_their_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attempt of a backfill waits as a backfill, and every token as a token."""
    turns: list[tuple[Endpoint, Priority]] = []
    turn = QuotaGate.turn

    async def spy(gate: QuotaGate, endpoint: Endpoint, priority: Priority = Priority.FRESH) -> None:
        turns.append((endpoint, priority))
        await turn(gate, endpoint, priority)

    monkeypatch.setattr(QuotaGate, "turn", spy)
    async with scripted(OAUTH2) as (api, client):
        api.replies = [Reply(503, b""), flat(401, "token_expired"), Reply(502, b"")]
        await client.call(FINDER, ITEM, ANYTHING, priority=Priority.BACKFILL)
    token, backfill = (Endpoint.TOKEN, Priority.TOKEN), (FINDER, Priority.BACKFILL)
    assert [token, backfill, backfill, token, backfill, backfill] == turns


async def test_a_missing_product_names_right_and_product() -> None:
    """403 by the account's own rights is down at once, with the remedy."""
    config = SimulatorConfig(accounts=(AccountConfig(products=frozenset({"queue"})),), mails_per_minute=0.0)
    async with run(SIMULATED_OAUTH2, config) as world:
        with pytest.raises(AuthError) as caught:
            await world.client.call(FINDER, world.search(), FOUND)
        assert 1 == world.simulator.stats.requests["finder"]
    assert "right" in caught.value.remedy
    assert "product" in caught.value.remedy


async def test_a_filter_that_is_wanted_names_both_ways() -> None:
    """The remedy of a search without filter is to list domains, or to have them discovered."""
    async with run(SIMULATED_OAUTH2, SimulatorConfig.quiet()) as world:
        search = {name: value for name, value in world.search().items() if name in {"start", "end"}}
        with pytest.raises(FilterRequired) as caught:
            await world.client.call(FINDER, search, FOUND)
    for word in ("your own domains", "domains: discover", "right to list domains"):
        assert word in caught.value.remedy
