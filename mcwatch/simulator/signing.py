"""API 1.0: checks the HMAC-SHA1 signature of a call (reference notes §A)."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Final

from mcwatch.simulator.bindings import Bindings
from mcwatch.simulator.config import AccountConfig
from mcwatch.simulator.envelope import RefusedError
from mcwatch.simulator.times import from_mc_date

SCHEME: Final = "MC "
_MOST_REQUEST_IDS: Final = 200_000


def sign(secret_key: str, date: str, request_id: str, path: str, app_key: str) -> str:
    """Return the signature of a call; the secret is base64, its decoded bytes are the key."""
    signed = f"{date}:{request_id}:{path}:{app_key}"
    return b64encode(hmac.new(b64decode(secret_key), signed.encode(), hashlib.sha1).digest()).decode()


class Signatures:
    """Checks calls with the keys of all bindings, and knows the request ids already used."""

    def __init__(self, bindings: Bindings, skew_secs: float, clock: Callable[[], float]) -> None:
        self._bindings = bindings
        self._skew_secs = skew_secs
        self._clock = clock
        self._used: dict[tuple[str, str], float] = {}

    def account_of(self, headers: Mapping[str, str], path: str) -> AccountConfig:
        """Return who signed the call; raises RefusedError with the code Mimecast would give."""
        access_key, _, signature = headers.get("Authorization", "").removeprefix(SCHEME).partition(":")
        date, request_id = headers.get("x-mc-date", ""), headers.get("x-mc-req-id", "")
        binding = self._bindings.find(access_key)
        if binding is None:
            raise _invalid("unknown access key")
        account = binding.account
        if headers.get("x-mc-app-id") != account.app_id:
            raise RefusedError(401, "err_developer_key", "Invalid application id")
        expected = sign(binding.secret_key, date, request_id, path, account.app_key)
        if not request_id or not hmac.compare_digest(signature.encode(), expected.encode()):
            raise _invalid("signature does not match")
        self._check_freshness(account, date, request_id)
        if self._bindings.is_over(binding):
            raise binding_expired()
        return account

    def _check_freshness(self, account: AccountConfig, date: str, request_id: str) -> None:
        now, sent_at = self._clock(), from_mc_date(date)
        if sent_at is None or abs(now - sent_at) > self._skew_secs:
            raise _invalid("date malformed or out of tolerance")
        if (account.name, request_id) in self._used:
            raise _invalid("request id already used")
        if len(self._used) >= _MOST_REQUEST_IDS:
            # Past this age the date alone refuses a replay.
            oldest = now - 2 * self._skew_secs
            self._used = {used: at for used, at in self._used.items() if at >= oldest}
        self._used[account.name, request_id] = now


def binding_expired() -> RefusedError:
    """Make the 418 of keys whose time is over."""
    return RefusedError(418, "err_xdk_binding_expired", "Binding expired")


def _invalid(reason: str) -> RefusedError:
    return RefusedError(401, "err_xdk_invalid_signature", f"0004 Invalid signature: {reason}")
