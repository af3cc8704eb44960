"""The keys of an API 1.0 user, and how they are kept alive (reference notes A, "Login / binding")."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec

from mcwatch.domain.errors import McwatchError
from mcwatch.interfaces import Clock
from mcwatch.mimecast.auth import reveal
from mcwatch.mimecast.config import HmacConfig
from mcwatch.mimecast.envelope import AnswerDecoder
from mcwatch.mimecast.errors import BindingExpired
from mcwatch.telemetry.liveness import holding

_LOGIN_PAUSE_SECS = 600.0  # bindings per user are capped, and users with a wrong password are locked out
_LOGIN_REMEDY = (
    "check user_name, password and user_auth, or make new keys, with an authentication profile whose cache TTL is "
    "'never expires'; the login is tried again after 10 minutes"
)


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """What signs; never shown."""

    access: str
    secret: str


SendLogin = Callable[[Mapping[str, str], bytes], Awaitable[Keys | None]]


class _Granted(msgspec.Struct):
    accessKey: str | None = None  # noqa: N815 - the wire name
    secretKey: str | None = None  # noqa: N815 - the wire name

    def __repr__(self) -> str:
        return "_Granted(****)"


_GRANTED: AnswerDecoder[_Granted] = AnswerDecoder(_Granted)


def read_login(body: bytes, what: str) -> Keys | None:
    """Decode a 2xx answer of the login; None when it names no keys that can sign, for then the stored ones stay valid.

    Raises as :meth:`AnswerDecoder.decode` does.
    """
    for granted in _GRANTED.decode(body, what=what).items or []:
        if granted.accessKey and granted.secretKey and _is_base64(granted.secretKey):
            return Keys(granted.accessKey, granted.secretKey)
    return None


class Binding:
    """The keys in use: the configured ones, or those that a login answered with.

    ``log_in`` takes user name, password and the old keys. It is called by one caller at a time, and at most once in
    ten minutes, however it ends.
    """

    def __init__(
        self, config: HmacConfig, log_in: Callable[[str, str, Keys], Awaitable[Keys | None]], clock: Clock
    ) -> None:
        self.renewals = 0
        self._config = config
        self._log_in = log_in
        self._clock = clock
        self._lock = asyncio.Lock()
        self._granted: Keys | None = None
        self._replaced: Keys | None = None
        self._tried_at: float | None = None
        self._failed: BindingExpired | None = None

    def keys(self) -> Keys:
        """Return the keys to sign with; raises AuthError when their files cannot be read.

        Keys that an operator changes in the configuration take the place of those that were granted.
        """
        configured = Keys(reveal(self._config.access_key), reveal(self._config.secret_key))
        return self._granted if self._granted and configured == self._replaced else configured

    async def renew(self, seen: int, refused: BindingExpired) -> None:
        """Log in, unless somebody has since ``renewals`` was ``seen``; raises BindingExpired when it is no way out."""
        user_name, password = self._config.user_name, self._config.password
        if user_name is None or password is None:
            raise refused
        async with holding(self._lock, "login"):
            if self.renewals != seen:
                return
            now = self._clock.monotonic()
            if self._tried_at is not None and now - self._tried_at < _LOGIN_PAUSE_SECS:
                raise self._failed or refused
            user = reveal(user_name), reveal(password)
            self._tried_at = now
            await self._renew(*user)

    async def _renew(self, user_name: str, password: str) -> None:
        self._failed = None
        try:
            granted = await self._log_in(user_name, password, self.keys())
        except McwatchError as error:
            self._failed = BindingExpired(
                f"the access key has expired, and the login that refreshes it failed: {error}", remedy=_LOGIN_REMEDY
            )
            raise self._failed from error
        self.renewals += 1
        if granted:
            self._replaced = Keys(reveal(self._config.access_key), reveal(self._config.secret_key))
            self._granted = granted


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
