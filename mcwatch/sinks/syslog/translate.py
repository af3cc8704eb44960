"""The edge where failures of sockets and TLS become mcwatch's own errors."""

import ssl

from mcwatch.domain.errors import FailureReason, McwatchError, TransientError
from mcwatch.tls import TlsRemedies, tls_failure

_TLS_REMEDIES = TlsRemedies(
    trust="check sink.address against the names in the certificate; "
    "set sink.tls.ca_file to the authority that signed it",
    identity="check sink.tls.cert_file and key_file: the receiver wants a client certificate that it trusts",
    plain="check the port in sink.address, or set sink.transport to tcp",
)


def translated(error: OSError, peer: str) -> McwatchError:
    """Return what ``error`` means for the destination; ``peer`` is the receiver's address."""
    if isinstance(error, ssl.SSLError):
        return tls_failure(error, f"the syslog receiver {peer}", _TLS_REMEDIES)
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
