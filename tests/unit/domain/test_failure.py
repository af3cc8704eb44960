"""Errors that go from one process to another."""

import msgspec
import pytest

from mcwatch.domain import errors
from mcwatch.domain.errors import (
    AuthError,
    ConfigError,
    FailureReason,
    McwatchError,
    PermanentError,
    StoreUnavailable,
    ThrottledError,
)
from mcwatch.domain.failure import Failure, SentFailure


def _there(error: McwatchError) -> McwatchError:
    return msgspec.json.decode(msgspec.json.encode(SentFailure.of(error)), type=SentFailure).raised()


_PLAIN = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, McwatchError) and kind not in {ConfigError, ThrottledError}
]


@pytest.mark.parametrize("kind", _PLAIN)
def test_every_error_arrives_as_it_was(kind: type[McwatchError]) -> None:
    """Class, words, reason and remedy; what the other side said stays behind, for it may quote mail."""
    arrived = _there(kind("it failed", reason=FailureReason.TIMEOUT, remedy="wait", detail="Dear Amy"))
    assert (kind, "it failed", FailureReason.TIMEOUT, "wait", "") == (
        type(arrived),
        str(arrived),
        arrived.reason,
        arrived.remedy,
        arrived.detail,
    )


def test_what_a_class_has_of_its_own_arrives_too() -> None:
    """Each problem of a configuration, and how long the other side asked to wait."""
    config = _there(ConfigError(["one", "two"]))
    assert isinstance(config, ConfigError)
    assert ["one", "two"] == config.problems
    throttled = _there(ThrottledError("slow down", retry_after_secs=7.0, remedy="wait"))
    assert isinstance(throttled, ThrottledError)
    assert (7.0, "wait", FailureReason.THROTTLED) == (throttled.retry_after_secs, throttled.remedy, throttled.reason)


def test_a_class_of_a_component_arrives_as_what_it_derives_from() -> None:
    """The asker acts on the consequence, which is the same."""

    class _Standby(StoreUnavailable):
        """The server takes no writes."""

    class _RevokedError(AuthError):
        """The credential was revoked."""

    assert StoreUnavailable is type(_there(_Standby("no writes")))
    assert AuthError is type(_there(_RevokedError("no")))


def test_what_another_version_sends_is_a_failure_all_the_same() -> None:
    """With its words and its remedy."""
    sent = msgspec.json.decode(b'{"error":"x","reason":"gremlins","remedy":"y","kind":"Gremlin"}', type=SentFailure)
    arrived = sent.raised()
    assert (PermanentError, "x", "y") == (type(arrived), str(arrived), arrived.remedy)


def test_a_failure_over_http_is_read_as_before() -> None:
    """What is sent between processes is one too."""
    sent = msgspec.json.encode(SentFailure.of(PermanentError("x", remedy="y")))
    assert Failure("x", "refused", "y") == msgspec.json.decode(sent, type=Failure)
