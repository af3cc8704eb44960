"""Tokens."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from mcwatch.domain.errors import AuthError, FailureReason, TransientError
from mcwatch.mimecast.auth import OAuth2Auth, TokenAnswer, read_token
from mcwatch.mimecast.config import OAuth2Config
from mcwatch.mimecast.errors import BindingExpired
from mcwatch.option_types import Secret
from tests.fakes.clock import FakeClock


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


@pytest.mark.parametrize("make", [lambda: oauth(TokenServer(), FakeClock()), lambda: TokenAnswer("a b&c")])
def test_reprs_show_no_secret(make: Callable[[], object]) -> None:
    """Credentials never show in a repr."""
    assert "a b&c" not in repr(make())


async def test_an_application_has_no_binding_to_renew() -> None:
    """A 418 that API 2.0 should never give is handed on as it is."""
    refused = BindingExpired("expired")
    auth = oauth(TokenServer(), FakeClock())
    with pytest.raises(BindingExpired) as caught:
        await auth.renew(auth.renewals, refused)
    assert (refused, 0) == (caught.value, auth.renewals)
