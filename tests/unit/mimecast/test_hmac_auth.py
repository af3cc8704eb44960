"""Signatures, and what a login sends."""

import base64
import json
import locale
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

import pytest

from mcwatch.domain.errors import AuthError, FailureReason
from mcwatch.mimecast.binding import Keys
from mcwatch.mimecast.config import HmacConfig
from mcwatch.mimecast.errors import BindingExpired
from mcwatch.mimecast.hmac_auth import HmacAuth, mc_date, signature
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


class LoginServer:
    """Keeps what a login sends and answers with the keys it is given."""

    def __init__(self) -> None:
        self.asked: list[tuple[Mapping[str, str], object]] = []
        self.grants: Keys | None = None

    async def send(self, headers: Mapping[str, str], body: bytes) -> Keys | None:
        """Answer one login."""
        self.asked.append((headers, json.loads(body)))
        return self.grants


def signer(
    config: HmacConfig | None = None,
    server: LoginServer | None = None,
    server_now: Callable[[], datetime] = lambda: MOMENT,
    **keys: Callable[[], str],
) -> HmacAuth:
    """Make the auth under test."""
    send = (server or LoginServer()).send
    return HmacAuth(config or hmac_config(), server_now, send, FakeClock(), **keys)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/message-finder/search", "chph+CYgrQOuzziViTHkPu1SMyk="),
        ("/api/gateway/find-processing-messages", "rDPOsIk74qd2GiHBgJ1KTsyRKqQ="),
    ],
)
async def test_the_test_vector_of_the_reference_notes(path: str, expected: str) -> None:
    """Date, id, path and application key are signed as reference notes A say."""
    auth = signer(new_id=lambda: "6f1f9c1e-5d0b-4a51-9c1c-2a7c8f3b9d10")
    assert {
        "Authorization": f"MC demo-access:{expected}",
        "x-mc-app-id": "demo-app-id",
        "x-mc-date": "Mon, 05 Jan 2026 09:30:00 UTC",
        "x-mc-req-id": "6f1f9c1e-5d0b-4a51-9c1c-2a7c8f3b9d10",
    } == await auth.headers(path)


async def test_every_attempt_has_its_own_id_date_and_signature() -> None:
    """Nothing of a signature is used twice, and the date is the API's, not ours."""
    moments = iter([MOMENT, MOMENT + timedelta(seconds=1)])
    auth = signer(server_now=lambda: next(moments))
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
        await signer(config).headers("/a")
    assert FailureReason.MISCONFIGURED == caught.value.reason


@pytest.mark.parametrize(("user_auth", "scheme"), [("cloud", "Basic-Cloud"), ("domain", "Basic-AD")])
async def test_what_a_login_sends(user_auth: Literal["cloud", "domain"], scheme: str) -> None:
    """User and password go under the scheme configured, unsigned; the body names the user and the old access key."""
    config = hmac_config().model_copy(
        update={"user_name": Secret("svc@corp.example"), "password": Secret("hunter:2"), "user_auth": user_auth}
    )
    server = LoginServer()
    auth = signer(config, server, new_id=lambda: "one id")
    await auth.renew(auth.renewals, BindingExpired("expired"))
    ((headers, body),) = server.asked
    assert {"data": [{"userName": "svc@corp.example", "accessKey": "demo-access"}]} == body
    assert f"{scheme} {base64.b64encode(b'svc@corp.example:hunter:2').decode()}" == headers["Authorization"]
    assert ("demo-app-id", "Mon, 05 Jan 2026 09:30:00 UTC", "one id") == (
        headers["x-mc-app-id"],
        headers["x-mc-date"],
        headers["x-mc-req-id"],
    )


async def test_keys_granted_sign_from_then_on() -> None:
    """After a login that answers other keys the next signature is made with them."""
    config = hmac_config().model_copy(update={"user_name": Secret("u"), "password": Secret("p")})
    server = LoginServer()
    server.grants = Keys("new-access", base64.b64encode(b"new secret").decode())
    auth = signer(config, server, new_id=lambda: "one id")
    await auth.renew(auth.renewals, BindingExpired("expired"))
    text = "Mon, 05 Jan 2026 09:30:00 UTC:one id:/a:demo-app-key"
    expected = f"MC new-access:{signature(server.grants.secret, text)}"
    assert (expected, 1) == ((await auth.headers("/a"))["Authorization"], auth.renewals)


def test_reprs_show_no_secret() -> None:
    """Keys and their configuration never show in a repr."""
    assert SECRET_KEY not in repr(hmac_config()) + repr(signer()) + repr(Keys("a", SECRET_KEY))
