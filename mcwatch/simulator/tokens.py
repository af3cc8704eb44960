"""OAuth2 client credentials: tokens handed out, and bearers checked (reference notes §B)."""

import secrets
from collections.abc import Callable, Iterable
from typing import Final

from mcwatch.simulator.config import AccountConfig
from mcwatch.simulator.envelope import RefusedError

UNVERIFIED: Final = ("token_verification_failed", "Token could not be verified")
EXPIRED: Final = ("token_expired", "Access token expired")


class Tokens:
    """The bearer tokens of all accounts, with their ends."""

    def __init__(self, accounts: Iterable[AccountConfig], lifetime_secs: float, clock: Callable[[], float]) -> None:
        self._clients = {account.client_id: account for account in accounts}
        self._lifetime_secs = lifetime_secs
        self._clock = clock
        self._tokens: dict[str, tuple[AccountConfig, float]] = {}

    def issue(self, client_id: str, client_secret: str) -> dict[str, object] | None:
        """Return a token answer; None when the credentials are wrong."""
        account = self._clients.get(client_id)
        if account is None or not secrets.compare_digest(client_secret.encode(), account.client_secret.encode()):
            return None
        token = secrets.token_urlsafe(48)
        self._tokens[token] = (account, self._clock() + self._lifetime_secs)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(self._lifetime_secs),
            "scope": "",
        }

    def account_of(self, token: str) -> AccountConfig:
        """Return whose token it is; raises RefusedError when it is unknown or has expired."""
        account, ends_at = self._tokens.get(token, (None, 0.0))
        if account is None:
            raise RefusedError(401, *UNVERIFIED)
        if self._clock() >= ends_at:
            raise RefusedError(401, *EXPIRED)
        return account

    def expire(self, account: str) -> None:
        """End all tokens of an account at once."""
        for token, (owner, _) in self._tokens.items():
            if owner.name == account:
                self._tokens[token] = (owner, 0.0)
