"""Who calls, and may they: authentication, products and quota, before any function runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from mcwatch.simulator.bindings import Bindings
from mcwatch.simulator.config import AccountConfig, SimulatorConfig
from mcwatch.simulator.envelope import RefusedError
from mcwatch.simulator.quota import Quota, Standing
from mcwatch.simulator.signing import SCHEME, Signatures
from mcwatch.simulator.tokens import Tokens

BEARER: Final = "Bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known of a call before its body is read."""

    bearer: bool
    account: AccountConfig | None
    refused: RefusedError | None = None

    @property
    def name(self) -> str | None:
        """The account's name, if the call is authenticated."""
        return None if self.account is None else self.account.name


class Gate:
    """Checks credentials of both kinds, and counts calls against the quota."""

    def __init__(self, config: SimulatorConfig, clock: Callable[[], float]) -> None:
        self.tokens = Tokens(config.accounts, config.token_secs, clock)
        self.quota = Quota(config.quota, clock)
        self.bindings = Bindings(config.accounts, clock)
        self._signatures = Signatures(self.bindings, config.skew_secs, clock)

    def caller(self, headers: Mapping[str, str], path: str) -> Caller:
        """Find out who calls; a failure is kept in the result, since a fault may come before it."""
        authorization = headers.get("Authorization", "")
        bearer = not authorization.startswith(SCHEME) and "x-mc-date" not in headers
        try:
            if authorization.startswith(BEARER):
                return Caller(bearer, self.tokens.account_of(authorization.removeprefix(BEARER)))
            if authorization.startswith(SCHEME):
                return Caller(bearer, self._signatures.account_of(headers, path))
        except RefusedError as refused:
            return Caller(bearer, None, refused)
        if bearer:
            return Caller(bearer, None, RefusedError(401, "unauthorized", "Unauthorized Request"))
        return Caller(bearer, None, RefusedError(400, "err_xdk_credentials_missing", "0001 Credentials missing"))

    def user(self, headers: Mapping[str, str]) -> Caller:
        """Find out who logs in; a failure is kept in the result, as above."""
        try:
            return Caller(bearer=False, account=self.bindings.user(headers))
        except RefusedError as refused:
            return Caller(bearer=False, account=None, refused=refused)

    def take(self, caller: Caller, endpoint: str) -> Standing:
        """Count a call: 1.0 per account, 2.0 per account and function (reference notes §D)."""
        return self.quota.take(f"{caller.name}|{endpoint}" if caller.bearer else f"{caller.name}")


def throttled() -> RefusedError:
    """Make the failure of a call beyond the quota; Mimecast publishes no code for it."""
    return RefusedError(429, "too_many_requests", "Rate limit exceeded")


def forbidden(code: str = "app_forbidden") -> RefusedError:
    """Make the failure of a call to a product the account has not."""
    return RefusedError(403, code, "The application may not use this product")
