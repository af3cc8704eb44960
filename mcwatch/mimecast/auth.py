"""The credentials of an account, turned into request headers; here API 2.0's tokens."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Protocol
from urllib.parse import urlencode

import msgspec

from mcwatch.domain.errors import AuthError, ConfigError, FailureReason, McwatchError, TransientError
from mcwatch.interfaces import Clock
from mcwatch.mimecast.config import OAuth2Config
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.envelope import failures_of
from mcwatch.mimecast.errors import BindingExpired, error_for
from mcwatch.option_types import Secret
from mcwatch.telemetry.liveness import holding

_TOKEN_LIFE_SECS = 1799.0  # what every published token answer says (notes B)
_RENEW_AHEAD_SECS = 300.0
_RENEW_AHEAD_SHARE = 0.2
_RENEW_PAUSE_SECS = 30.0  # between attempts to renew a token that is still good


class Auth(Protocol):
    """Makes a request one of this account's."""

    @property
    def renewals(self) -> int:
        """How often :meth:`renew` did something."""

    async def prepare(self) -> None:
        """Fetch what :meth:`headers` will need, so that it need not wait. Raises as a request does."""

    async def headers(self, path: str) -> dict[str, str]:
        """Return the headers for one attempt at ``path``."""

    def invalidate(self, used: Mapping[str, str]) -> None:
        """Stop using the credential that made these headers."""

    async def renew(self, seen: int, refused: BindingExpired) -> None:
        """Return once the next attempt may do better, raise ``refused`` or another BindingExpired when it cannot.

        ``seen`` is what ``renewals`` said before the refused request: whoever finds it moved on repeats at once.
        """


class TokenAnswer(msgspec.Struct, frozen=True):
    """What the token endpoint grants."""

    access_token: Annotated[str, msgspec.Meta(min_length=1)]
    expires_in: float | str | None = None

    def __repr__(self) -> str:
        return "TokenAnswer(****)"


_TOKEN = msgspec.json.Decoder(TokenAnswer)


class _Token:
    """A token and when, in monotonic seconds, it ends and is to be renewed."""

    __slots__ = ("ends_at", "renew_at", "value")

    def __init__(self, value: str, life_secs: float, now: float) -> None:
        self.value = value
        self.ends_at = now + life_secs
        self.renew_at = self.ends_at - min(_RENEW_AHEAD_SECS, _RENEW_AHEAD_SHARE * life_secs)


class OAuth2Auth:
    """API 2.0: a bearer token by client credentials, fetched by one caller at a time and renewed ahead of its end.

    ``send`` posts the form to the token endpoint and returns what it grants; the secrets are read anew for every token.
    Callers that waited while a fetch failed get its error instead of asking again.
    """

    def __init__(self, config: OAuth2Config, send: Callable[[bytes], Awaitable[TokenAnswer]], clock: Clock) -> None:
        self._config = config
        self._send = send
        self._clock = clock
        self._token: _Token | None = None
        self._lock = asyncio.Lock()
        self._fetches = 0
        self._error: McwatchError | None = None

    @property
    def renewals(self) -> int:
        """Zero: an application has no binding to renew."""
        return 0

    async def prepare(self) -> None:
        """Fetch or renew the token where needed."""
        await self._current()

    async def headers(self, path: str) -> dict[str, str]:
        """Return the bearer header."""
        return {"Authorization": f"Bearer {await self._current()}"}

    def invalidate(self, used: Mapping[str, str]) -> None:
        """Drop the token, unless it has been replaced since."""
        if self._token and used.get("Authorization") == f"Bearer {self._token.value}":
            self._token = None

    async def renew(self, seen: int, refused: BindingExpired) -> None:
        """Raise what was refused: an application has no binding."""
        raise refused

    async def _current(self) -> str:
        token = self._fresh()
        if token:
            return token
        fetches = self._fetches
        async with holding(self._lock, "token"):
            token = self._fresh()
            if token:
                return token
            if self._fetches != fetches and self._error:
                raise self._error
            return await self._renew()

    def _fresh(self) -> str | None:
        token = self._token
        return token.value if token and self._clock.monotonic() < token.renew_at else None

    async def _renew(self) -> str:
        self._error = None
        try:
            fetched = await self._fetch()
        except McwatchError as error:
            self._fetches += 1
            old = self._token
            now = self._clock.monotonic()
            if old and now < old.ends_at and isinstance(error, TransientError):
                old.renew_at = min(now + _RENEW_PAUSE_SECS, old.ends_at)
                return old.value
            self._error = error
            raise
        self._fetches += 1
        self._token = fetched
        return fetched.value

    async def _fetch(self) -> _Token:
        form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": reveal(self._config.client_id),
                "client_secret": reveal(self._config.client_secret),
            }
        )
        answer = await self._send(form.encode())
        return _Token(answer.access_token, _life_secs(answer.expires_in), self._clock.monotonic())


def read_token(body: bytes) -> TokenAnswer:
    """Decode a 2xx answer of the token endpoint; raises the error of the table for a failure inside it."""
    failures = failures_of(body)
    if failures:
        raise error_for(200, failures, what=Endpoint.TOKEN)
    try:
        return _TOKEN.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TransientError(
            "the token endpoint answered without a token",
            reason=FailureReason.BAD_RESPONSE,
            remedy="check base_url, and any proxy in between",
        ) from error


def reveal(secret: Secret) -> str:
    """Return the secret for use in a running daemon, where an unreadable file takes down this account alone."""
    try:
        return secret.reveal()
    except ConfigError as error:
        raise AuthError(str(error), reason=error.reason, remedy="make the secret's file readable again") from error


def _life_secs(expires_in: float | str | None) -> float:
    try:
        life_secs = float(expires_in) if expires_in is not None else _TOKEN_LIFE_SECS
    except ValueError:
        return _TOKEN_LIFE_SECS
    return life_secs if 0 < life_secs < float("inf") else _TOKEN_LIFE_SECS
