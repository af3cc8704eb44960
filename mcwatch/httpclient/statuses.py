"""The meaning of an HTTP status for whoever sends events to a receiver."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    ThrottledError,
    TransientError,
)
from mcwatch.httpclient.client import Response
from mcwatch.httpclient.dates import parse_http_date
from mcwatch.httpclient.throttle import retry_after_secs

_EXCERPT_BYTES = 512


@dataclass(frozen=True, slots=True)
class _Meaning:
    error: Callable[..., McwatchError]
    reason: FailureReason
    remedy: str = ""


_CREDENTIAL = _Meaning(AuthError, FailureReason.AUTH, "check the credential and what it is allowed to do")
_PROXY = _Meaning(AuthError, FailureReason.AUTH, "check the user name and the password in proxy")
_ADDRESS = _Meaning(MisconfiguredError, FailureReason.MISCONFIGURED, "check the URL")
_CERTIFICATE = _Meaning(
    MisconfiguredError,
    FailureReason.TLS,
    "check tls.cert_file and tls.key_file: the proxy before the receiver wants a client certificate it trusts",
)
_PLAIN_TO_TLS = _Meaning(MisconfiguredError, FailureReason.MISCONFIGURED, "write the URL with https://")
_LATER = _Meaning(TransientError, FailureReason.SERVER)
_REFUSED = _Meaning(PermanentError, FailureReason.REFUSED)

_MEANINGS: dict[int, _Meaning] = {
    HTTPStatus.UNAUTHORIZED: _CREDENTIAL,
    HTTPStatus.FORBIDDEN: _CREDENTIAL,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: _PROXY,
    HTTPStatus.NOT_FOUND: _ADDRESS,
    HTTPStatus.METHOD_NOT_ALLOWED: _ADDRESS,
    HTTPStatus.GONE: _ADDRESS,
    HTTPStatus.REQUEST_TIMEOUT: _LATER,
    HTTPStatus.TOO_EARLY: _LATER,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _Meaning(PermanentError, FailureReason.TOO_LARGE),
    495: _CERTIFICATE,
    496: _CERTIFICATE,
    497: _PLAIN_TO_TLS,
}
# nginx answers these three as a 400 which no receiver ever saw: as a word on the events it would make dead letters of
# them. The whole beginning counts, for a receiver that quotes events is not to be taken for nginx.
_NGINX_TITLE = b"<html>\r\n<head><title>400 %b</title></head>"
_NGINX_MEANINGS = {
    _NGINX_TITLE % b"The SSL certificate error": _CERTIFICATE,
    _NGINX_TITLE % b"No required SSL certificate was sent": _CERTIFICATE,
    _NGINX_TITLE % b"The plain HTTP request was sent to HTTPS port": _PLAIN_TO_TLS,
}
_REDIRECT = _Meaning(
    MisconfiguredError, FailureReason.MISCONFIGURED, "write the final URL; redirects are never followed"
)


def error_for(response: Response, what: str) -> McwatchError | None:
    """Return the error that the status stands for, None for any 2xx.

    ``what`` names the receiver in the message, for example ``the webhook hook.example:443``; what the receiver itself
    says is in the error's ``detail``.
    """
    status = response.status
    if 200 <= status < 300:
        return None
    message = f"{what} answered {status}"
    wait_secs = _wait_secs(response)
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.SERVICE_UNAVAILABLE and wait_secs is not None):
        return ThrottledError(message, retry_after_secs=wait_secs)
    meaning = _meaning(response)
    return meaning.error(message, reason=meaning.reason, remedy=meaning.remedy, detail=excerpt(response))


def excerpt(response: Response) -> str:
    """Return the receiver's own words, for a dead letter alone: they may quote what was sent."""
    return response.body[:_EXCERPT_BYTES].decode("utf-8", "replace").strip()


def _meaning(response: Response) -> _Meaning:
    status = response.status
    known = _MEANINGS.get(status)
    if known:
        return known
    if 300 <= status < 400:
        return _REDIRECT
    if status == HTTPStatus.BAD_REQUEST:
        return next(
            (meaning for title, meaning in _NGINX_MEANINGS.items() if response.body.startswith(title)), _REFUSED
        )
    return _REFUSED if 400 <= status < 500 else _LATER


def _wait_secs(response: Response) -> float | None:
    """Read ``Retry-After`` against the receiver's own ``Date``, so that a wrong clock here changes nothing.

    Without one our clock has to do (RFC 9110 section 6.6.1).
    """
    sent_at = parse_http_date(response.headers.get("Date")) or response.received_at
    return retry_after_secs(response.headers.get("Retry-After"), sent_at)
