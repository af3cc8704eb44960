"""What the API's answers mean: the table of reference notes E, as data.

What the caller can do beside waiting (fresh token, fresh signature, paging from the start) is told by the class.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    ThrottledError,
    TransientError,
)


class TokenExpired(AuthError):  # noqa: N818 - named after what happened, as the API does
    """The access token is too old: fetch a new one and repeat the request once."""


class SignatureRefused(AuthError):  # noqa: N818 - as above
    """The HMAC signature does not match: repeat once with a fresh date and id, then the keys are wrong."""


class BindingExpired(AuthError):  # noqa: N818 - as above
    """The API 1.0 keys are past their time (HTTP 418): only new keys or a refreshed binding help."""


class UnsteadyAuth(TransientError):  # noqa: N818 - as above
    """A 401 that API 2.0 also gives to good credentials now and then: an AuthError only when it stays."""

    default_reason = FailureReason.AUTH


class TokenRefused(UnsteadyAuth):
    """The access token itself was not accepted: the next attempt needs a new one."""


class PageTokenInvalid(PermanentError):  # noqa: N818 - as above
    """The page token is not known any more: restart the paging once."""


class HistoryExceeded(PermanentError):  # noqa: N818 - as above
    """The search starts before the API's history of about 30 days: clamp the window."""


class FilterRequired(MisconfiguredError):  # noqa: N818 - as above
    """The tenant's message finder refuses a search without sender, recipient, subject, IP or URL."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One entry of ``fail``, in either of its shapes."""

    code: str = ""
    message: str = ""
    retryable: bool | None = None


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """What one answer means. None and empty match anything; ``prefix`` also matches the sub-code of a message."""

    status: int | None
    prefix: str
    kind: type[McwatchError]
    reason: FailureReason
    message: str
    remedy: str = ""


_ROLE = "give the API user (or the 2.0 application) the role right and the product that this endpoint needs"
_KEYS = "check the keys, and that the region or base_url is that of the account"
_BINDING = (
    "make new keys, with an authentication profile whose cache TTL is 'never expires', or set auth.user_name and "
    "auth.password, with which mcwatch refreshes the keys"
)
_ADDRESS = "check base_url or region"
_R = FailureReason

# The first row that fits counts: codes before statuses, the longer prefix before the shorter.
TABLE: tuple[ErrorRow, ...] = (
    ErrorRow(None, "err_validation_at_least_one_not_null", FilterRequired, _R.MISCONFIGURED,
             "the message finder wants a filter",
             "list your own domains under domains, or set domains: discover (which needs the right to list domains)"),
    ErrorRow(None, "err_validation_", PermanentError, _R.REFUSED, "the API refuses a field of the request",
             "check the source's options (domains, searches, routes)"),
    ErrorRow(None, "err_track_and_trace_invalid_start_date", HistoryExceeded, _R.REFUSED,
             "the search starts before the API's history of about 30 days"),
    ErrorRow(None, "err_xdk_invalid_signature", SignatureRefused, _R.AUTH, "the API refuses the signature",
             "check app_key, access_key and secret_key (as shown, in base64), and this machine's clock"),
    ErrorRow(None, "err_xdk_binding_expired", BindingExpired, _R.AUTH, "the access key has expired",
             _BINDING),
    ErrorRow(None, "err_xdk_operation_forbidden_for_address", AuthError, _R.AUTH,
             "the API user may not act for this address", _ROLE),
    ErrorRow(None, "err_developer_key", AuthError, _R.AUTH, "the API does not know the application",
             "check app_id and app_key; a new 1.0 application takes about 30 minutes to work"),
    ErrorRow(None, "err_audit_log_incorrect_region", MisconfiguredError, _R.MISCONFIGURED,
             "the account lives in another region", _ADDRESS),
    ErrorRow(None, "app_forbidden", AuthError, _R.AUTH, "the application may not use this endpoint", _ROLE),
    ErrorRow(None, "token_expired", TokenExpired, _R.AUTH, "the access token has expired", _KEYS),
    ErrorRow(None, "token_verification_failed", TokenRefused, _R.AUTH, "the access token was not accepted",
             _KEYS),
    ErrorRow(None, "Unauthorized Request", UnsteadyAuth, _R.AUTH, "the request was not accepted", _KEYS),
    ErrorRow(None, "unauthorized_client", AuthError, _R.AUTH, "the application may not get a token this way", _KEYS),
    ErrorRow(401, "unauthorized", UnsteadyAuth, _R.AUTH, "the request was not accepted", _KEYS),
    ErrorRow(None, "invalid_client", AuthError, _R.AUTH, "the API refuses client_id or client_secret",
             "check client_id and client_secret"),
    ErrorRow(None, "invalid_grant", AuthError, _R.AUTH, "the API refuses client_id or client_secret",
             "check client_id and client_secret"),
    ErrorRow(None, "invalid_scope", AuthError, _R.AUTH, "the API refuses a token for this application", _ROLE),
    ErrorRow(None, "xdk_failure", PageTokenInvalid, _R.REFUSED, "the API does not know this page token"),
    ErrorRow(400, "0001", AuthError, _R.AUTH, "the API found no credentials in the request", _KEYS),
    ErrorRow(401, "0001", AuthError, _R.AUTH, "the API user may not log in this way",
             "allow the authentication type in the user's authentication profile"),
    ErrorRow(None, "0003", AuthError, _R.AUTH, "the API user may not act for this address", _ROLE),
    ErrorRow(None, "0004", SignatureRefused, _R.AUTH, "the API refuses the signature", _KEYS),
    ErrorRow(None, "0007", PageTokenInvalid, _R.REFUSED, "the API does not know this page token"),
)  # fmt: skip

# What a status means when its code says nothing. 401 without any code is among those that come and go.
STATUSES: tuple[ErrorRow, ...] = (
    ErrorRow(400, "", PermanentError, _R.REFUSED, "the API refuses the request"),
    ErrorRow(401, "", AuthError, _R.AUTH, "the API refuses the credentials", _KEYS),
    ErrorRow(403, "", AuthError, _R.AUTH, "the API forbids this call", _ROLE),
    ErrorRow(404, "", MisconfiguredError, _R.MISCONFIGURED, "this path does not exist there", _ADDRESS),
    ErrorRow(405, "", MisconfiguredError, _R.MISCONFIGURED, "this path takes no such request", _ADDRESS),
    ErrorRow(407, "", AuthError, _R.AUTH, "the proxy wants credentials", "write user name and password into proxy"),
    ErrorRow(408, "", TransientError, _R.TIMEOUT, "the API gave up waiting"),
    ErrorRow(409, "", PermanentError, _R.REFUSED, "the API reports a conflict"),
    ErrorRow(413, "", PermanentError, _R.TOO_LARGE, "the API finds the request too large"),
    ErrorRow(418, "", BindingExpired, _R.AUTH, "the access key has expired",
             _BINDING),
    ErrorRow(425, "", TransientError, _R.SERVER, "the API asks to try again"),
    ErrorRow(429, "", ThrottledError, _R.THROTTLED, "the API's quota is used up"),
)  # fmt: skip

_BARE_401 = ErrorRow(401, "", UnsteadyAuth, _R.AUTH, "the API refuses the credentials without a reason", _KEYS)
_REDIRECT = ErrorRow(None, "", MisconfiguredError, _R.MISCONFIGURED, "the API's address redirects elsewhere", _ADDRESS)
_REFUSED = ErrorRow(None, "", PermanentError, _R.REFUSED, "the API refuses the request")
_SERVER = ErrorRow(None, "", TransientError, _R.SERVER, "the API failed")
_BUSY = ErrorRow(503, "", ThrottledError, _R.THROTTLED, "the API is busy")
_FUNCTION = ErrorRow(None, "", TransientError, _R.SERVER, "the API reports a failure of the call")

_SHOWABLE_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,63}", re.ASCII)


def row_for(status: int, failures: Sequence[Failure]) -> ErrorRow:
    """Look an answer up: by code, else by what the API says about retrying, else by status.

    ``status`` is the HTTP status or, where that is 200, the ``meta.status``.
    """
    for failure in failures:
        for row in TABLE:
            if row.status in {None, status} and _matches(row.prefix, failure):
                return row
    by_status = _status_row(status, failures)
    if by_status.kind is PermanentError and any(failure.retryable for failure in failures):
        return _FUNCTION
    return by_status


def error_for(
    status: int, failures: Sequence[Failure] = (), *, what: str = "", retry_after_secs: float | None = None
) -> McwatchError:
    """Build the error of a failed answer; ``what`` names the call. Vendor texts stay out, known-looking codes not."""
    row = row_for(status, failures)
    if status == 503 and retry_after_secs is not None:
        row = _BUSY
    shown = [f"HTTP {status}"] if status else []
    shown += [failure.code for failure in failures[:1] if _SHOWABLE_CODE.fullmatch(failure.code)]
    message = f"{what}: {row.message} ({', '.join(shown)})" if what else f"{row.message} ({', '.join(shown)})"
    if issubclass(row.kind, ThrottledError):
        return row.kind(message, retry_after_secs=retry_after_secs, remedy=row.remedy)
    return row.kind(message, reason=row.reason, remedy=row.remedy)


def failures_in(fail: object) -> list[Failure]:
    """Read ``fail`` in its nested and its flat shape, whatever else is in it; anything non-empty gives a Failure."""
    if not fail:
        return []
    found: list[Failure] = []
    for entry in fail if isinstance(fail, list) else [fail]:
        nested = entry.get("errors") if isinstance(entry, dict) else None
        found.extend(_failure(error) for error in (nested if isinstance(nested, list) and nested else [entry]))
    return found


def _failure(entry: object) -> Failure:
    if not isinstance(entry, dict):
        return Failure(code=entry if isinstance(entry, str) else "")
    return Failure(
        code=_text(entry.get("code")),
        message=_text(entry.get("message")),
        retryable={"true": True, "false": False}.get(_text(entry.get("retryable")).lower()),
    )


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, (str, int)) else ""


def _matches(prefix: str, failure: Failure) -> bool:
    wanted = prefix.lower()
    return failure.code.lower().startswith(wanted) or failure.message.lower().startswith(wanted)


def _status_row(status: int, failures: Sequence[Failure]) -> ErrorRow:
    if status == 401 and not any(failure.code for failure in failures):
        return _BARE_401
    for row in STATUSES:
        if row.status == status:
            return row
    if 200 <= status < 300:
        final = any(failure.retryable is False for failure in failures)
        return _REFUSED if final else _FUNCTION
    if 300 <= status < 400:
        return _REDIRECT
    return _REFUSED if 400 <= status < 500 else _SERVER
