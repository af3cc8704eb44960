"""TLS settings of an outgoing connection, the context made of them, and what its failures mean."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from mcwatch.domain.errors import FailureReason, McwatchError, MisconfiguredError, TransientError

_TOO_OLD_REMEDY = "the other side must offer TLS 1.2 or newer"
_REFUSALS_OF_US = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Whom to trust and how to identify: PEM files; ``verify=False`` accepts any certificate for any name."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Build the client context; raises MisconfiguredError naming the file that cannot be used."""
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.ca_file:
                context.load_verify_locations(cafile=self.ca_file)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(path) for path in (self.ca_file, self.cert_file, self.key_file) if path)
            raise MisconfiguredError(
                f"the TLS files cannot be used ({files}): {error.strerror or error}",
                reason=FailureReason.TLS,
                remedy="check that the files exist, are readable and hold PEM data that belongs together",
            ) from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class TlsRemedies:
    """What to do about a failure, in terms of the options of whoever connects.

    Args:
        trust: the certificate of the other side is not accepted.
        identity: the other side wants another certificate of ours.
        plain: the other side does not speak TLS.
    """

    trust: str
    identity: str
    plain: str


def tls_failure(error: ssl.SSLError, peer: str, remedies: TlsRemedies) -> McwatchError:
    """Return what a failure of TLS means: misconfigured on either side, or a connection that broke."""
    name = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".") or "it is not valid"
        message, remedy = f"the certificate of {peer} is not accepted: {why}", remedies.trust
    elif "ALERT" in name and any(word in name for word in _REFUSALS_OF_US):
        message, remedy = f"{peer} refuses our client certificate or TLS settings ({name})", remedies.identity
    elif name == "WRONG_VERSION_NUMBER" or "HTTP_REQUEST" in name:
        message, remedy = f"{peer} does not speak TLS", remedies.plain
    elif "PROTOCOL" in name:
        message, remedy = f"no TLS connection to {peer} is possible ({name})", _TOO_OLD_REMEDY
    else:
        return TransientError(f"the TLS connection to {peer} broke", reason=FailureReason.CONNECTION)
    return MisconfiguredError(message, reason=FailureReason.TLS, remedy=remedy)
