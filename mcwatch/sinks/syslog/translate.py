"""The edge where failures of sockets and TLS become mcwatch's own errors."""

import ssl

from mcwatch.domain.errors import FailureReason, McwatchError, TransientError
from mcwatch.sinks.syslog.connection import LostError
from mcwatch.tls import TlsRemedies, tls_failure

_TLS_REMEDIES = TlsRemedies(
    trust="check sink.address against the names in the certificate; "
    "set sink.tls.ca_file to the authority that signed it",
    identity="check sink.tls.cert_file and key_file: the receiver wants a client certificate that it trusts",
    plain="check the port in sink.address, or whether sink.transport should be without TLS",
)


def translated(error: OSError | LostError, peer: str) -> McwatchError:
    """Return what ``error`` means for the destination; ``peer`` is the receiver's address."""
    if isinstance(error, LostError):
        error = error.__cause__ if isinstance(error.__cause__, OSError) else ConnectionResetError()
    if isinstance(error, ssl.SSLError):
        return tls_failure(error, f"the syslog receiver {peer}", _TLS_REMEDIES)
    if isinstance(error, TimeoutError):
        return TransientError(
            f"the syslog receiver {peer} took nothing in time",
            reason=FailureReason.TIMEOUT,
            remedy="look whether the receiver hangs, its disk is full, or a firewall drops the packets",
        )
    remedy = "check that the receiver runs and listens at sink.address"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        # syslog-ng, for one, ends the connection at a message that is longer than it takes, again and again.
        remedy += "; if it closes whenever events are sent, it may not take messages of sink.max_message: lower that"
    return TransientError(
        f"the connection to the syslog receiver {peer} failed: {error.strerror or 'closed'}",
        reason=FailureReason.CONNECTION,
        remedy=remedy,
    )


def turned_away(error: OSError | LostError, peer: str) -> McwatchError:
    """Return the same for a connection that failed before or at the first thing sent over it."""
    if isinstance(error, LostError) and not isinstance(error.__cause__, ssl.SSLError):
        return TransientError(
            f"the syslog receiver {peer} closed the connection soon after it was opened",
            reason=FailureReason.CONNECTION,
            remedy="see the receiver's log; it may want TLS or none, a client certificate that it trusts (sink.tls), "
            "shorter messages (sink.max_message), or not serve this machine",
        )
    return translated(error, peer)
