"""Signatures and tokens."""

import asyncio
import json
import locale
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from mcwatch.domain.errors import AuthError, FailureReason, TransientError
from mcwatch.mimecast.auth import HmacAuth, OAuth2Auth, TokenAnswer, mc_date, read_token, signature
from mcwatch.mimecast.config import HmacConfig, OAuth2Config
from mcwatch.option_types import Secret
from tests.fakes.clock import FakeClock

MOMENT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
SECRET_KEY = "bWN3YXRjaC1kZW1vLXNlY3JldC0wMDAx"  # the made-up key of reference notes A


def hmac_config(secret_key: str = SECRET_KEY) -> HmacConfig:
    """Give the made-up keys of reference notes A."""
    return HmacConfig(
        type="hmac",
        app_id=Secret("demo-app-id"),
        app_key=Secret("demo-app-key"),
        access_key=Secret("demo-access"),
        secret_key=Secret(secret_key),
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/message-finder/search", "chph+CYgrQOuzziViTHkPu1SMyk="),
        ("/api/gateway/find-processing-messages", "rDPOsIk74qd2GiHBgJ1KTsyRKqQ="),
    ],
)
async def test_the_test_vector_of_the_reference_notes(path: str, expected: str) -> None:
    """Date, id, path and application key are signed as reference notes A say."""
    auth = HmacAuth(hmac_config(), lambda: MOMENT, lambda: "6f1f9c1e-5d0b-4a51-9c1c-2a7c8f3b9d10")
    assert {
        "Authorization": f"MC demo-access:{expected}",
        "x-mc-app-id": "demo-app-id",
        "x-mc-date": "Mon, 05 Jan 2026 09:30:00 UTC",
        "x-mc-req-id": "6f1f9c1e-5d0b-4a51-9c1c-2a7c8f3b9d10",
    } == await auth.headers(path)


async def test_every_attempt_has_its_own_id_date_and_signature() -> None:
    """Nothing of a signature is used twice, and the date is the API's, not ours."""
    moments = iter([MOMENT, MOMENT + timedelta(seconds=1)])
    auth = HmacAuth(hmac_config(), lambda: next(moments))
    first, second = await auth.headers("/a"), await auth.headers("/a")
    for name in ("Authorization", "x-mc-date", "x-mc-req-id"):
        assert first[name] != second[name]


def test_date_is_english_and_utc_whatever_the_locale() -> None:
    """Neither locale nor zone of the machine shows in the date."""
    before = locale.setlocale(locale.LC_TIME)
    try:
        locale.setlocale(locale.LC_TIME, "C.utf8")
        moment = datetime(2026, 3, 1, 0, 5, 9, tzinfo=timezone(timedelta(hours=2)))
        assert "Sat, 28 Feb 2026 22:05:09 UTC" == mc_date(moment)
    finally:
        locale.setlocale(locale.LC_TIME, before)


def test_a_secret_key_that_is_not_base64_is_an_auth_error_without_the_key() -> None:
    """A mangled key is named by its option, not shown."""
    with pytest.raises(AuthError) as caught:
        signature("hunter2!", "text")
    assert "secret_key" in caught.value.remedy
    assert "hunter2" not in str(caught.value) + caught.value.remedy


async def test_an_unreadable_secret_file_takes_down_the_account_alone(tmp_path: Path) -> None:
    """A file that is gone is an AuthError naming it, for start-up errors must not come up later."""
    config = hmac_config().model_copy(update={"app_key": Secret(path=tmp_path / "gone")})
    with pytest.raises(AuthError, match="gone") as caught:
        await HmacAuth(config, lambda: MOMENT).headers("/a")
    assert FailureReason.MISCONFIGURED == caught.value.reason


class TokenServer:
    """Hands out numbered tokens, or fails as told."""

    def __init__(self) -> None:
        self.forms: list[dict[str, list[str]]] = []
        self.life: object = 1799
        self.errors: list[Exception] = []
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Event()

    async def send(self, form: bytes) -> TokenAnswer:
        """Answer one token request."""
        self.forms.append(parse_qs(form.decode()))
        self.arrived.set()
        number = len(self.forms)
        if self.gate:
            await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        answer = {"access_token": f"t{number}", "token_type": "Bearer", "expires_in": self.life, "scope": ""}
        return read_token(json.dumps(answer).encode())


def oauth(server: TokenServer, clock: FakeClock, secret: Secret | None = None) -> OAuth2Auth:
    """Make the auth under test."""
    config = OAuth2Config(client_id=Secret("id"), client_secret=secret or Secret("a b&c"))
    return OAuth2Auth(config, server.send, clock)


async def token_of(auth: OAuth2Auth) -> str:
    """Return the token in use."""
    return (await auth.headers("/any"))["Authorization"].removeprefix("Bearer ")


async def test_token_is_fetched_once_and_used_until_it_ages() -> None:
    """A token of 1799 s is renewed 300 s before its end, not earlier."""
    server, clock = TokenServer(), FakeClock()
    auth = oauth(server, clock)
    assert ["t1", "t1"] == [await token_of(auth), await token_of(auth)]
    assert [{"grant_type": ["client_credentials"], "client_id": ["id"], "client_secret": ["a b&c"]}] == server.forms
    clock.advance(1498)
    assert "t1" == await token_of(auth)
    clock.advance(2)
    assert "t2" == await token_of(auth)


@pytest.mark.parametrize(
    ("life", "renewed_after"),
    [(100, 80), ("100", 80), (None, 1499), ("soon", 1499), (0, 1499), (-5, 1499), (3600, 3300)],
)
async def test_renewal_ahead_of_time(life: object, renewed_after: float) -> None:
    """A fifth of a short life, 300 s of a long one; an unusable life counts as the usual 1799 s."""
    server, clock = TokenServer(), FakeClock()
    server.life = life
    auth = oauth(server, clock)
    await auth.prepare()
    clock.advance(renewed_after - 1)
    assert "t1" == await token_of(auth)
    clock.advance(2)
    assert "t2" == await token_of(auth)


async def test_concurrent_callers_share_one_fetch() -> None:
    """However many requests need a token, one token request is made."""
    server = TokenServer()
    server.gate = asyncio.Event()
    auth = oauth(server, FakeClock())
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(token_of(auth)) for _ in range(20)]
        await server.arrived.wait()
        server.gate.set()
    assert ({"t1"}, 1) == ({task.result() for task in tasks}, len(server.forms))


async def test_concurrent_callers_share_a_failure() -> None:
    """Callers that waited for a failed fetch get its error instead of asking again one after the other."""
    server = TokenServer()
    server.gate = asyncio.Event()
    server.errors = [AuthError("refused")]
    auth = oauth(server, FakeClock())
    tasks = [asyncio.create_task(token_of(auth)) for _ in range(5)]
    await server.arrived.wait()
    server.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [AuthError] * 5 == [type(result) for result in results]
    assert 1 == len(server.forms)
    assert "t2" == await token_of(auth)


async def test_a_cancelled_fetch_is_taken_over_by_the_next_caller() -> None:
    """When the caller that fetches is cancelled, who waits fetches for itself."""
    server = TokenServer()
    server.gate = asyncio.Event()
    auth = oauth(server, FakeClock())
    first = asyncio.create_task(token_of(auth))
    await server.arrived.wait()
    second = asyncio.create_task(token_of(auth))
    await asyncio.sleep(0)
    first.cancel()
    server.gate.set()
    assert "t2" == await second


async def test_invalidate_fetches_anew_once() -> None:
    """A refused token is replaced; a late refusal of the old one does not throw the new one away."""
    server = TokenServer()
    auth = oauth(server, FakeClock())
    old = await auth.headers("/any")
    auth.invalidate(old)
    assert "t2" == await token_of(auth)
    auth.invalidate(old)
    assert "t2" == await token_of(auth)


async def test_a_good_token_outlives_a_failed_renewal() -> None:
    """While the old token is valid a transient failure of the renewal is no failure, and is not repeated at once."""
    server, clock = TokenServer(), FakeClock()
    auth = oauth(server, clock)
    await auth.prepare()
    clock.advance(1500)
    server.errors = [TransientError("away")]
    assert ["t1", "t1"] == [await token_of(auth), await token_of(auth)]
    assert 2 == len(server.forms)
    clock.advance(31)
    assert "t3" == await token_of(auth)


async def test_an_expired_token_does_not_outlive_a_failed_renewal() -> None:
    """Past its end the failure comes out."""
    server, clock = TokenServer(), FakeClock()
    auth = oauth(server, clock)
    await auth.prepare()
    clock.advance(1800)
    server.errors = [TransientError("away")]
    with pytest.raises(TransientError, match="away"):
        await auth.prepare()


async def test_secrets_are_read_anew_for_each_token(tmp_path: Path) -> None:
    """A rotated secret file is used for the next token."""
    path = tmp_path / "secret"
    path.write_text("one\n")
    server = TokenServer()
    auth = oauth(server, FakeClock(), Secret(path=path))
    auth.invalidate(await auth.headers("/any"))
    path.unlink()
    path.write_text("two longer\n")
    await auth.prepare()
    assert [["one"], ["two longer"]] == [form["client_secret"] for form in server.forms]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"access_token":null}', b'{"access_token":""}', b'{"access_token":"\xff"}']
)
def test_an_answer_without_a_token_is_a_bad_response(body: bytes) -> None:
    """Whatever is no token answer is transient: something stands in between."""
    with pytest.raises(TransientError) as caught:
        read_token(body)
    assert FailureReason.BAD_RESPONSE == caught.value.reason


@pytest.mark.parametrize("make", [hmac_config, lambda: oauth(TokenServer(), FakeClock()), lambda: TokenAnswer("a b&c")])
def test_reprs_show_no_secret(make: Callable[[], object]) -> None:
    """Credentials never show in a repr."""
    text = repr(make())
    assert SECRET_KEY not in text
    assert "a b&c" not in text
