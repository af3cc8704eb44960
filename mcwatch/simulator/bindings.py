"""API 1.0: a user's bindings, which sign until they expire, and the login that renews them (reference notes §A).

`POST /api/login/login` takes `Authorization: Basic-Cloud base64(user name:password)` or `Basic-AD`, unsigned, with
`x-mc-app-id`, `x-mc-date` and `x-mc-req-id`, and `{"data": [{"userName": …, "accessKey": …}]}`; user name and password
follow from the account's name (`svc@demo.example` / `demo-password`). With the `accessKey` it knows, it renews that
binding and answers its keys again, or others where the account has `new_keys_at_login`; without one it makes a binding.
The code of a wrong password is made up, for Mimecast publishes none.
"""

import base64
import binascii
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mcwatch.simulator.config import AccountConfig
from mcwatch.simulator.envelope import MALFORMED, Call, RefusedError

_SCHEMES: Final = ("Basic-Cloud ", "Basic-AD ")
_FOREVER: Final = float("inf")


@dataclass(slots=True)
class Binding:
    """A pair of keys and the end of its time."""

    account: AccountConfig
    access_key: str
    secret_key: str
    ends_at: float


class Bindings:
    """The bindings of all accounts; each account begins with one, whose keys are in its configuration."""

    def __init__(self, accounts: Iterable[AccountConfig], clock: Callable[[], float]) -> None:
        self._accounts = {account.user_name: account for account in accounts}
        self._clock = clock
        self._bindings = {
            account.access_key: Binding(
                account,
                account.access_key,
                account.secret_key,
                0.0 if account.binding_expired else self._end(account),
            )
            for account in self._accounts.values()
        }
        self.logins = 0

    def find(self, access_key: str) -> Binding | None:
        """Return the binding a key belongs to, expired or not."""
        return self._bindings.get(access_key)

    def is_over(self, binding: Binding) -> bool:
        """Tell whether a binding has expired."""
        return self._clock() >= binding.ends_at

    def expire(self, account: str) -> None:
        """End all bindings of an account at once."""
        for binding in self._bindings.values():
            if binding.account.name == account:
                binding.ends_at = 0.0

    def user(self, headers: Mapping[str, str]) -> AccountConfig:
        """Return whose user name and password a login carries; raises RefusedError."""
        authorization = headers.get("Authorization", "")
        scheme = next((scheme for scheme in _SCHEMES if authorization.startswith(scheme)), None)
        if scheme is None or not headers.get("x-mc-date") or not headers.get("x-mc-req-id"):
            raise RefusedError(400, "err_xdk_credentials_missing", "0001 Credentials missing")
        user_name, _, password = _decoded(authorization.removeprefix(scheme)).partition(":")
        account = self._accounts.get(user_name)
        if account is None or password != account.password:
            raise RefusedError(401, "err_login_failed", "Invalid user name or password")
        if headers.get("x-mc-app-id") != account.app_id:
            raise RefusedError(401, "err_developer_key", "Invalid application id")
        return account

    def log_in(self, account: AccountConfig, call: Call) -> dict[str, object]:
        """Renew the binding named in the call, or make one; return the item to answer."""
        item = call.items[0] if call.items else {}
        if item.get("userName") != account.user_name:
            raise RefusedError(400, MALFORMED, "userName must be that of the credentials", "userName")
        self.logins += 1
        old = self.find(str(item.get("accessKey", "")))
        if old is None or old.account is not account or account.new_keys_at_login:
            access_key = f"{account.access_key}-{self.logins}"
            secret_key = b64encode(f"{account.name}-hmac-secret-{self.logins}".encode()).decode()
            old = self._bindings[access_key] = Binding(account, access_key, secret_key, 0.0)
        old.ends_at = self._end(account)
        duration_ms = None if account.binding_secs is None else int(account.binding_secs * 1000)
        return {
            "accessKey": old.access_key,
            "secretKey": old.secret_key,
            "duration": duration_ms,
            "bindingType": "one_step",
            "extendOnValidate": False,
            "username": account.user_name,
        }

    def _end(self, account: AccountConfig) -> float:
        return _FOREVER if account.binding_secs is None else self._clock() + account.binding_secs


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
