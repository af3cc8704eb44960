"""The error table of reference notes E."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    ThrottledError,
    TransientError,
)
from mcwatch.mimecast.errors import (
    STATUSES,
    TABLE,
    BindingExpired,
    Failure,
    FilterRequired,
    HistoryExceeded,
    PageTokenInvalid,
    SignatureRefused,
    TokenExpired,
    TokenRefused,
    UnsteadyAuth,
    error_for,
    failures_in,
)


def code(text: str, message: str = "", *, retryable: bool | None = None) -> list[Failure]:
    """Give a failure with a code."""
    return [Failure(text, message, retryable)]


@pytest.mark.parametrize(
    ("status", "failures", "kind"),
    [
        (400, code("err_validation_null"), PermanentError),
        (400, code("err_validation_value_not_allowed"), PermanentError),
        (200, code("err_validation_at_least_one_not_null"), FilterRequired),
        (400, code("err_validation_at_least_one_not_null"), FilterRequired),
        (200, code("err_track_and_trace_invalid_start_date", retryable=False), HistoryExceeded),
        (400, [], PermanentError),
        (400, code("", "0001 No credentials"), AuthError),
        (401, code("err_xdk_invalid_signature"), SignatureRefused),
        (401, code("", "0004 Invalid signature"), SignatureRefused),
        (401, code("", "0001 Not allowed"), AuthError),
        (401, code("err_developer_key"), AuthError),
        (401, code("token_expired"), TokenExpired),
        (401, code("token_verification_failed"), TokenRefused),
        (401, code("Unauthorized Request"), UnsteadyAuth),
        (401, code("", "Unauthorized Request"), UnsteadyAuth),
        (401, code("unauthorized"), UnsteadyAuth),
        (401, [], UnsteadyAuth),
        (401, code("err_something_new"), AuthError),
        (401, code("invalid_client"), AuthError),
        (400, code("unauthorized_client"), AuthError),
        (403, code("app_forbidden"), AuthError),
        (403, code("err_xdk_operation_forbidden_for_address"), AuthError),
        (403, [], AuthError),
        (200, code("xdk_failure", "0007 Invalid token"), PageTokenInvalid),
        (500, code("", "0007 Invalid token"), PageTokenInvalid),
        (404, [], MisconfiguredError),
        (405, [], MisconfiguredError),
        (401, code("err_audit_log_incorrect_region"), MisconfiguredError),
        (409, [], PermanentError),
        (413, [], PermanentError),
        (418, [], BindingExpired),
        (418, code("err_xdk_binding_expired"), BindingExpired),
        (429, [], ThrottledError),
        (429, code("whatever", retryable=True), ThrottledError),
        (500, [], TransientError),
        (503, [], TransientError),
        (302, [], MisconfiguredError),
        (200, code("err_unknown"), TransientError),
        (200, code("err_unknown", retryable=True), TransientError),
        (200, code("err_unknown", retryable=False), PermanentError),
        (400, code("err_unknown", retryable=True), TransientError),
        (400, code("err_unknown"), PermanentError),
        (403, code("err_unknown", retryable=True), AuthError),
        (200, [Failure("err_other"), Failure("token_expired")], TokenExpired),
    ],
)
def test_answers(status: int, failures: list[Failure], kind: type[McwatchError]) -> None:
    """Each status and code is the error whose consequence the notes ask for."""
    assert kind is type(error_for(status, failures))


def test_what_a_filter_needs_is_named() -> None:
    """The remedy of a search refused for want of a filter names the option."""
    assert "domains" in error_for(400, code("err_validation_at_least_one_not_null")).remedy


@pytest.mark.parametrize(("status", "wait"), [(429, 12.0), (429, None), (503, 12.0)])
def test_throttles_carry_their_wait(status: int, wait: float | None) -> None:
    """A 429, and a 503 that names a time, carry the time."""
    error = error_for(status, retry_after_secs=wait)
    assert isinstance(error, ThrottledError)
    assert wait == error.retry_after_secs


def test_the_text_names_call_status_and_code() -> None:
    """An operator reads which call failed, how, and by which of Mimecast's codes."""
    error = error_for(403, code("app_forbidden", "secret words"), what="message_finder")
    assert "message_finder: the application may not use this endpoint (HTTP 403, app_forbidden)" == str(error)
    assert FailureReason.AUTH == error.reason


@pytest.mark.parametrize("text", ["amy@corp.example", "Quarter update", "x" * 100, "a\nb"])
def test_odd_codes_are_not_quoted(text: str) -> None:
    """Only what looks like a code is shown: a server could put anything there."""
    error = error_for(400, [Failure(text, text)], what="call")
    assert text not in str(error) + error.remedy


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (None, []),
        ([], []),
        ({}, []),
        ("", []),
        ([{"code": "token_expired", "message": "m"}], [Failure("token_expired", "m")]),
        (
            [{"key": {}, "errors": [{"code": "a", "message": "m", "retryable": False, "field": "f"}, {"code": "b"}]}],
            [Failure("a", "m", retryable=False), Failure("b")],
        ),
        ({"errors": [{"code": "a", "retryable": "true"}]}, [Failure("a", retryable=True)]),
        ([{"errors": []}], [Failure()]),
        (["0007 Invalid token"], [Failure("0007 Invalid token")]),
        ("broken", [Failure("broken")]),
        ([None], [Failure()]),
        (7, [Failure()]),
        ([{"code": 7, "message": None, "retryable": None}], [Failure("7")]),
    ],
)
def test_both_shapes_of_fail_and_what_is_none(fail: object, expected: list[Failure]) -> None:
    """Nested and flat failures are read; whatever else is in fail still is a failure."""
    assert expected == failures_in(fail)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["errors", "code", "message"]), inner),
    max_leaves=10,
)


@given(fail=anything, status=st.integers(100, 999))
def test_no_answer_breaks_the_table(fail: object, status: int) -> None:
    """Any fail with any status is some error, and a non-empty fail is at least one failure."""
    failures = failures_in(fail)
    assert bool(fail) == bool(failures)
    assert isinstance(error_for(status, failures), McwatchError)


def test_rows_say_what_to_do() -> None:
    """Whoever must act on an error is told how: all rows for credentials and configuration have a remedy."""
    for row in TABLE + STATUSES:
        if issubclass(row.kind, (AuthError, MisconfiguredError)) and row.kind is not TokenExpired:
            assert row.remedy, row
