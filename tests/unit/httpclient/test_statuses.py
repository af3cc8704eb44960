"""Statuses of receivers as errors."""

from datetime import UTC, datetime

import pytest

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
from mcwatch.httpclient.statuses import error_for, excerpt

R = FailureReason


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(status: int) -> None:
    """A 2xx is no error."""
    assert error_for(Response(status, {}, b""), "hook") is None


@pytest.mark.parametrize(
    ("status", "headers", "kind", "reason"),
    [
        (301, {}, MisconfiguredError, R.MISCONFIGURED),
        (307, {}, MisconfiguredError, R.MISCONFIGURED),
        (400, {}, PermanentError, R.REFUSED),
        (401, {}, AuthError, R.AUTH),
        (403, {}, AuthError, R.AUTH),
        (404, {}, MisconfiguredError, R.MISCONFIGURED),
        (405, {}, MisconfiguredError, R.MISCONFIGURED),
        (407, {}, AuthError, R.AUTH),
        (408, {}, TransientError, R.SERVER),
        (409, {}, PermanentError, R.REFUSED),
        (410, {}, MisconfiguredError, R.MISCONFIGURED),
        (413, {}, PermanentError, R.TOO_LARGE),
        (418, {}, PermanentError, R.REFUSED),
        (425, {}, TransientError, R.SERVER),
        (429, {}, ThrottledError, R.THROTTLED),
        (499, {}, PermanentError, R.REFUSED),
        (500, {}, TransientError, R.SERVER),
        (502, {"Retry-After": "7"}, TransientError, R.SERVER),
        (503, {}, TransientError, R.SERVER),
        (503, {"Retry-After": "7"}, ThrottledError, R.THROTTLED),
        (599, {}, TransientError, R.SERVER),
        (999, {}, TransientError, R.SERVER),
    ],
)
def test_statuses(status: int, headers: dict[str, str], kind: type[McwatchError], reason: FailureReason) -> None:
    """Each status is the error that says what to do, and the text names receiver and status alone."""
    error = error_for(Response(status, headers, b"your token hunter2 is bad"), "the webhook")
    assert error is not None
    assert (kind, reason, f"the webhook answered {status}") == (type(error), error.reason, str(error))


def _nginx(words: str) -> bytes:
    """Build the page that nginx 1.22 answers."""
    text = (
        f"<html>\r\n<head><title>400 {words}</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n"
        f"<center>{words}</center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
    )
    return text.encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason", "remedy"),
    [
        (400, _nginx("No required SSL certificate was sent"), MisconfiguredError, R.TLS, "cert_file"),
        (400, _nginx("The SSL certificate error"), MisconfiguredError, R.TLS, "cert_file"),
        (400, _nginx("The plain HTTP request was sent to HTTPS port"), MisconfiguredError, R.MISCONFIGURED, "https"),
        (495, b"", MisconfiguredError, R.TLS, "cert_file"),
        (496, b"", MisconfiguredError, R.TLS, "cert_file"),
        (497, b"", MisconfiguredError, R.MISCONFIGURED, "https"),
        (400, b"rejected: " + _nginx("The SSL certificate error"), PermanentError, R.REFUSED, ""),
        (400, b'{"error": "No required SSL certificate was sent"}', PermanentError, R.REFUSED, ""),
        (422, _nginx("The SSL certificate error"), PermanentError, R.REFUSED, ""),
    ],
)
def test_a_400_of_nginx_itself_is_no_word_on_events(
    status: int, body: bytes, kind: type[McwatchError], reason: FailureReason, remedy: str
) -> None:
    """What nginx says of certificates is a misconfiguration; a receiver that quotes the same words refuses events."""
    error = error_for(Response(status, {}, body), "hook")
    assert error is not None
    assert (kind, reason) == (type(error), error.reason)
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("headers", "secs"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Mon, 05 Jan 2026 09:31:00 GMT", "Date": "Mon, 05 Jan 2026 09:30:00 GMT"}, 60.0),
        ({"Retry-After": "Mon, 05 Jan 2026 09:31:00 GMT"}, None),
    ],
)
def test_retry_after_of_a_429(headers: dict[str, str], secs: float | None) -> None:
    """A throttle carries the wait asked for; a date counts from the receiver's own clock."""
    error = error_for(Response(429, headers, b""), "hook")
    assert isinstance(error, ThrottledError)
    assert secs == error.retry_after_secs


@pytest.mark.parametrize("date", [{}, {"Date": "yesterday"}])
def test_a_date_to_wait_for_counts_from_our_clock_where_the_receiver_tells_none(date: dict[str, str]) -> None:
    """Without a Date that can be read, the moment the answer came stands in its place."""
    headers = {"Retry-After": "Mon, 05 Jan 2026 09:31:00 GMT", **date}
    error = error_for(Response(429, headers, b"", datetime(2026, 1, 5, 9, 30, tzinfo=UTC)), "hook")
    assert isinstance(error, ThrottledError)
    assert 60.0 == error.retry_after_secs


def test_excerpt_is_short_and_readable() -> None:
    """The receiver's words are cut to 512 bytes, whatever bytes they are."""
    assert "no \ufffd" == excerpt(Response(400, {}, b" no \xff \n"))
    assert 512 == len(excerpt(Response(400, {}, b"x" * 5000)))
