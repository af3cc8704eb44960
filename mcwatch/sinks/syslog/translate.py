"""The edge where failures of sockets and TLS become mcwatch's own errors."""

import ssl

from mcwatch.domain.errors import FailureReason, McwatchError, MisconfiguredError, TransientError

_TRUST_REMEDY = (
    "check sink.address against the names in the certificate; set sink.tls.ca_file to the authority that signed it"
)
_CLIENT_CERT_REMEDY = "check sink.tls.cert_file and key_file: the receiver wants a client certificate that it trusts"
_NO_TLS_REMEDY = "check the port in sink.address, or set sink.transport to tcp"


def translated(error: OSError, peer: str) -> McwatchError:
    """Return what ``error`` means for the destination; ``peer`` is the receiver's address."""
    if isinstance(error, ssl.SSLError):
        return _from_tls(error, peer)
    if isinstance(error, TimeoutError):
        return TransientError(
            f"the syslog receiver {peer} took nothing in time",
            reason=FailureReason.TIMEOUT,
            remedy="look whether the receiver hangs, its disk is full, or a firewall drops the packets",
        )
    return TransientError(
        f"the connection to the syslog receiver {peer} failed: {error.strerror or 'closed'}",
        reason=FailureReason.CONNECTION,
        remedy="check that the receiver runs and listens at sink.address",
    )


def _from_tls(error: ssl.SSLError, peer: str) -> McwatchError:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".") or "it is not valid"
        return _refused(f"the certificate of the syslog receiver {peer} is not accepted: {why}", _TRUST_REMEDY)
    name = error.reason or ""
    if "ALERT" in name:
        return _refused(
            f"the syslog receiver {peer} refuses our certificate or TLS settings ({name})", _CLIENT_CERT_REMEDY
        )
    if name == "WRONG_VERSION_NUMBER":
        return _refused(f"the syslog receiver {peer} does not speak TLS", _NO_TLS_REMEDY)
    if "PROTOCOL" in name:
        return _refused(f"no TLS connection to the syslog receiver {peer} is possible ({name})", _NO_TLS_REMEDY)
    return TransientError(f"the TLS connection to the syslog receiver {peer} broke", reason=FailureReason.CONNECTION)


def _refused(message: str, remedy: str) -> McwatchError:
    return MisconfiguredError(message, reason=FailureReason.TLS, remedy=remedy)
