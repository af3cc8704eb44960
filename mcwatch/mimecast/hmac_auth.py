"""API 1.0: a signature per request (reference notes A), and the login that refreshes the binding behind its keys."""

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from mcwatch.domain.errors import AuthError
from mcwatch.interfaces import Clock
from mcwatch.mimecast.auth import reveal
from mcwatch.mimecast.binding import Binding, Keys, SendLogin
from mcwatch.mimecast.config import HmacConfig
from mcwatch.mimecast.errors import BindingExpired

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SCHEMES = {"cloud": "Basic-Cloud", "domain": "Basic-AD"}


class HmacAuth:
    """Signs a fresh date and request id per attempt.

    ``server_now`` is the time on the API's clock, which is what the API compares the date with. ``send_login`` posts
    headers and body to the login endpoint and returns the keys it answers with.
    """

    def __init__(
        self,
        config: HmacConfig,
        server_now: Callable[[], datetime],
        send_login: SendLogin,
        clock: Clock,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._config = config
        self._server_now = server_now
        self._send_login = send_login
        self._new_id = new_id
        self._binding = Binding(config, self._log_in, clock)

    @property
    def renewals(self) -> int:
        """How often the binding was refreshed."""
        return self._binding.renewals

    async def prepare(self) -> None:
        """Do nothing: a signature needs no answer of anybody."""

    async def headers(self, path: str) -> dict[str, str]:
        """Sign one attempt at ``path``."""
        keys, unsigned = self._binding.keys(), self._unsigned()
        app_key = reveal(self._config.app_key)
        text = f"{unsigned['x-mc-date']}:{unsigned['x-mc-req-id']}:{path}:{app_key}"
        return {"Authorization": f"MC {keys.access}:{signature(keys.secret, text)}", **unsigned}

    def invalidate(self, used: Mapping[str, str]) -> None:
        """Do nothing: the next attempt is signed anew anyway."""

    async def renew(self, seen: int, refused: BindingExpired) -> None:
        """Refresh the binding, where user credentials are configured."""
        await self._binding.renew(seen, refused)

    async def _log_in(self, user_name: str, password: str, old: Keys) -> Keys | None:
        basic = base64.b64encode(f"{user_name}:{password}".encode()).decode()
        headers = {"Authorization": f"{_SCHEMES[self._config.user_auth]} {basic}", **self._unsigned()}
        body = msgspec.json.encode({"data": [{"userName": user_name, "accessKey": old.access}]})
        return await self._send_login(headers, body)

    def _unsigned(self) -> dict[str, str]:
        """Return what a login sends as well, which is not signed."""
        return {
            "x-mc-app-id": reveal(self._config.app_id),
            "x-mc-date": mc_date(self._server_now()),
            "x-mc-req-id": self._new_id(),
        }


def mc_date(moment: datetime) -> str:
    """Write ``x-mc-date``: English names whatever the locale, UTC."""
    at = moment.astimezone(UTC)
    return f"{_WEEKDAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04} {at:%H:%M:%S} UTC"


def signature(secret_key: str, text: str) -> str:
    """Return the base64 HMAC-SHA1 of ``text`` under the base64 ``secret_key``; raises AuthError for a bad key."""
    try:
        key = base64.b64decode(secret_key.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise AuthError(
            "the secret key is not base64", remedy="copy secret_key as Mimecast shows it, without decoding it"
        ) from error
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha1).digest()).decode()
