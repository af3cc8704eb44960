"""What brokers and connections say, in mcwatch's own errors."""

import pytest
from aiokafka.errors import (  # type: ignore[import-untyped]  # it has no types
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    TransientError,
)
from mcwatch.sinks.kafka.endpoint import Endpoint
from mcwatch.sinks.kafka.failures import answered, broken

_BROKER = Endpoint("kafka.example", 9093)


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (3, MisconfiguredError, FailureReason.MISCONFIGURED),
        (6, TransientError, FailureReason.SERVER),
        (7, TransientError, FailureReason.TIMEOUT),
        (10, PermanentError, FailureReason.TOO_LARGE),
        (19, TransientError, FailureReason.SERVER),
        (29, AuthError, FailureReason.AUTH),
        (31, AuthError, FailureReason.AUTH),
        (32, PermanentError, FailureReason.REFUSED),
        (58, AuthError, FailureReason.AUTH),
        (76, MisconfiguredError, FailureReason.MISCONFIGURED),
        (87, PermanentError, FailureReason.REFUSED),
        (-1, TransientError, FailureReason.SERVER),
        (12345, TransientError, FailureReason.SERVER),
    ],
)
def test_an_error_code_has_a_consequence(code: int, kind: type[McwatchError], reason: FailureReason) -> None:
    """Each kind of answer becomes the error that leads to the right consequence."""
    error = answered(code, "the topic mail")
    assert (kind, reason) == (type(error), error.reason)


def _closed_because(cause: Exception) -> KafkaConnectionError:
    error = KafkaConnectionError("closed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (TimeoutError(), TransientError, FailureReason.TIMEOUT),
        (ConnectionRefusedError(111, "Connection refused"), TransientError, FailureReason.CONNECTION),
        (EOFError(), TransientError, FailureReason.CONNECTION),
        (KafkaConnectionError("closed"), TransientError, FailureReason.CONNECTION),
        (_closed_because(ConnectionResetError(104, "reset")), TransientError, FailureReason.CONNECTION),
        (SaslAuthenticationFailed("no"), AuthError, FailureReason.AUTH),
        (UnsupportedSaslMechanismError("no"), MisconfiguredError, FailureReason.MISCONFIGURED),
        (IncompatibleBrokerVersion("no"), MisconfiguredError, FailureReason.MISCONFIGURED),
    ],
)
def test_a_failed_connection_has_a_consequence(
    error: Exception, kind: type[McwatchError], reason: FailureReason
) -> None:
    """A refused login or certificate is told from a broker that is away."""
    meant = broken(error, _BROKER)
    assert (kind, reason) == (type(meant), meant.reason)
    assert "kafka.example:9093" in str(meant)
