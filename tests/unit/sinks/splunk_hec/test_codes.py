"""What HEC's answers mean."""

import json

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
from mcwatch.sinks.splunk_hec.codes import error_of, is_taken, number, reply_of


def _response(status: int, body: object, **headers: str) -> Response:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, encoded)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (1, 403, AuthError), (2, 401, AuthError), (3, 401, AuthError), (4, 403, AuthError),
        (5, 400, MisconfiguredError), (6, 400, PermanentError), (7, 400, MisconfiguredError),
        (8, 500, TransientError), (9, 503, ThrottledError), (10, 400, MisconfiguredError),
        (11, 400, MisconfiguredError), (12, 400, PermanentError), (13, 400, PermanentError),
        (14, 400, MisconfiguredError), (15, 400, PermanentError), (16, 400, MisconfiguredError),
        (18, 503, ThrottledError), (19, 503, TransientError), (20, 503, ThrottledError), (21, 400, AuthError),
        (22, 400, AuthError), (23, 503, TransientError), (26, 429, ThrottledError), (27, 429, ThrottledError),
        (28, 400, MisconfiguredError), (99, 400, TransientError), (17, 200, TransientError),
        # The code decides, whatever status it comes with.
        (4, 503, AuthError), (7, 500, MisconfiguredError), (9, 400, ThrottledError), (8, 400, TransientError),
        (24, 503, TransientError), (0, 503, TransientError),
        (6, 413, PermanentError),
    ],
)  # fmt: skip
def test_the_code_says_what_to_do(code: int, status: int, kind: type[McwatchError]) -> None:
    """Park, refuse or try again; what parks names a remedy, and only `detail` quotes Splunk."""
    error = error_of(_response(status, {"text": "quoting amy@corp.example", "code": code}), "https://s:8088")
    assert kind is type(error)
    assert "https://s:8088" in str(error)
    assert "amy" not in str(error) + error.remedy
    assert bool(error.remedy) is isinstance(error, (AuthError, MisconfiguredError))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (503, b"<html>busy</html>", TransientError),
        (504, b"", TransientError),
        (429, b"slow down", ThrottledError),
        (401, b"<html>sso</html>", AuthError),
        (404, b"<msg/>", MisconfiguredError),
        (302, b"", MisconfiguredError),
        (400, b"<html>bad</html>", PermanentError),
        (413, b"<html>large</html>", PermanentError),
        (200, b"<html>login</html>", MisconfiguredError),
        (200, b'{"ok": true}', MisconfiguredError),
        (200, b"[]", MisconfiguredError),
        (200, b'{"text":"Succ', TransientError),
        (200, b"", TransientError),
        (200, b'{"code": true}', MisconfiguredError),
        (400, b'{"code": "6"}', PermanentError),
        (400, b"[" * 100_000, PermanentError),
    ],
)
def test_other_answers_are_judged_by_status(status: int, body: bytes, kind: type[McwatchError]) -> None:
    """A proxy's page is never a yes, and never Splunk's no to an event."""
    response = _response(status, body)
    assert reply_of(response) is None
    assert not is_taken(response, None)
    assert kind is type(error_of(response, "p"))


@pytest.mark.parametrize("status", [429, 503])
def test_the_time_asked_for_is_kept(status: int) -> None:
    """`Retry-After` counts beside a code as without, in seconds and as a date."""
    dates = {"Date": "Mon, 05 Jan 2026 09:30:00 GMT", "Retry_After": "Mon, 05 Jan 2026 09:31:00 GMT"}
    for body in ({"text": "", "code": 9}, {"text": "", "code": 23}, b"<html/>"):
        for headers, secs in (({"Retry_After": "17"}, 17.0), (dates, 60.0)):
            error = error_of(_response(status, body, **headers), "p")
            assert isinstance(error, ThrottledError)
            assert secs == error.retry_after_secs


def test_a_body_too_large_is_that_whatever_the_code() -> None:
    """413 halves."""
    assert FailureReason.TOO_LARGE is error_of(_response(413, {"text": "", "code": 27}), "p").reason


@pytest.mark.parametrize(
    ("code", "status", "taken"),
    [(0, 200, True), (24, 200, True), (25, 200, True), (0, 500, False), (17, 200, False), (24, 503, False)],
)
def test_only_success_with_status_200_is_a_yes(code: int, status: int, taken: bool) -> None:
    """The warnings of a near limit are among the yeses: status 200 has taken the events."""
    response = _response(status, {"text": "", "code": code})
    assert taken is is_taken(response, reply_of(response))


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0), (7, 7), (-1, None), (True, None), ("3", None), (1.0, None), (None, None)]
)
def test_a_number_is_a_whole_one_from_zero(value: object, expected: int | None) -> None:
    """Anything else names no event and no request."""
    assert expected == number(value)
