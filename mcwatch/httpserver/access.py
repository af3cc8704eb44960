"""Who may ask the HTTP listener: name and password on every path but the probes (RFC 7617)."""

import binascii
import hashlib
import hmac
from base64 import b64decode
from dataclasses import dataclass

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from mcwatch.domain.errors import ConfigError
from mcwatch.domain.failure import Failure
from mcwatch.httpserver.answers import json_answer
from mcwatch.option_types import Secret

_log = structlog.get_logger(__name__)

PROBES = frozenset({"/healthz", "/readyz"})
"""The paths that answer anybody: whoever probes a container has no password."""

_CHALLENGE = 'Basic realm="mcwatch", charset="UTF-8"'
_BY_SCRIPT = "/fragment"
"""What an open page fetches. A challenge that browsers do not know keeps them from asking for a password unbidden, over
and over, after it was changed; the page says by itself what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The name and password to ask for; the password is looked up anew for each request."""

    username: str
    password: Secret

    def fit(self, authorization: str) -> bool:
        """Tell whether an Authorization header holds them, in a time that says nothing about them.

        Raises ConfigError when the file of the password cannot be read.
        """
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = b64decode(encoded.strip(), validate=True) if scheme.lower() == "basic" else b""
        except (binascii.Error, ValueError):
            given = b""
        expected = f"{self.username}:{self.password.reveal()}".encode()
        # Digests are of one length, so that the comparison does not tell that of the password.
        return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())


def guard(credentials: Credentials) -> Middleware:
    """Return what lets only those pass who know the password. A password that cannot be read lets nobody pass."""

    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PROBES:
            return await handler(request)
        try:
            known = credentials.fit(request.headers.get("Authorization", ""))
        except ConfigError as error:
            _log.warning("http_password_unreadable", error=str(error), remedy="make the file readable again")
            # Which file it is stands in the log alone: who asks here is a stranger.
            remedy = "see the log of mcwatch"
            return json_answer(Failure("http.basic_auth.password cannot be read", "config", remedy), 503)
        if known:
            return await handler(request)
        if "Authorization" in request.headers:  # a browser's first request has none
            _log.warning("http_login_refused", remote=request.remote)
        refusal = json_answer(
            Failure("a name and a password are needed", "auth", "log in as http.basic_auth says"), 401
        )
        refusal.headers["WWW-Authenticate"] = f"X-{_CHALLENGE}" if request.path == _BY_SCRIPT else _CHALLENGE
        return refusal

    return ask
