"""What failures of sockets and TLS mean for a syslog destination."""

import ssl

import pytest

from mcwatch.domain.errors import FailureReason, McwatchError, MisconfiguredError, TransientError
from mcwatch.sinks.syslog.connection import LostError
from mcwatch.sinks.syslog.translate import translated, turned_away


def _tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def _lost(cause: OSError | None = None) -> LostError:
    error = LostError()
    error.__cause__ = cause
    return error


def _untrusted() -> ssl.SSLError:
    error = ssl.SSLCertVerificationError("self-signed")
    error.reason, error.verify_message = "CERTIFICATE_VERIFY_FAILED", "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "kind", "reason", "remedy"),
    [
        (_tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), MisconfiguredError, FailureReason.TLS, "sink.tls.cert_file"),
        (_tls("TLSV1_ALERT_UNKNOWN_CA"), MisconfiguredError, FailureReason.TLS, "sink.tls.cert_file"),
        (_tls("WRONG_VERSION_NUMBER"), MisconfiguredError, FailureReason.TLS, "sink.transport"),
        (_tls("UNSUPPORTED_PROTOCOL"), MisconfiguredError, FailureReason.TLS, "TLS 1.2"),
        (_tls("TLSV1_ALERT_INTERNAL_ERROR"), TransientError, FailureReason.CONNECTION, ""),
        (_untrusted(), MisconfiguredError, FailureReason.TLS, "sink.tls.ca_file"),
        (TimeoutError(), TransientError, FailureReason.TIMEOUT, "receiver hangs"),
        (ConnectionRefusedError(111, "refused"), TransientError, FailureReason.CONNECTION, "sink.address"),
        (ConnectionResetError(104, "reset"), TransientError, FailureReason.CONNECTION, "sink.max_message"),
        (_lost(), TransientError, FailureReason.CONNECTION, "sink.max_message"),
        (_lost(_tls("TLSV13_ALERT_CERTIFICATE_REQUIRED")), MisconfiguredError, FailureReason.TLS, "sink.tls.cert_file"),
    ],
)
def test_failures_by_meaning(
    error: OSError | LostError, kind: type[McwatchError], reason: FailureReason, remedy: str
) -> None:
    """What only the operator can mend is misconfigured, what may pass is transient, and the remedy names the option."""
    meaning = translated(error, "siem.example:6514")
    assert (kind, reason) == (type(meaning), meaning.reason)
    assert "the syslog receiver siem.example:6514" in str(meaning)
    assert remedy in meaning.remedy


@pytest.mark.parametrize(
    ("error", "kind", "remedy"),
    [
        (_lost(), TransientError, "sink.tls"),
        (_lost(ConnectionResetError(104, "reset")), TransientError, "sink.tls"),
        (_lost(_tls("TLSV13_ALERT_CERTIFICATE_REQUIRED")), MisconfiguredError, "sink.tls.cert_file"),
        (ConnectionRefusedError(111, "refused"), TransientError, "sink.address"),
    ],
)
def test_a_connection_that_ends_before_anything_was_sent(
    error: OSError | LostError, kind: type[McwatchError], remedy: str
) -> None:
    """A receiver that hangs up at once gets remedies of its own; an alert says more than that."""
    meaning = turned_away(error, "siem.example:6514")
    assert kind is type(meaning)
    assert remedy in meaning.remedy
