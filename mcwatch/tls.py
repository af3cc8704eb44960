"""TLS settings of an outgoing connection, and the context made of them."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from mcwatch.domain.errors import MisconfiguredError


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
                remedy="check that the files exist, are readable and hold PEM data that belongs together",
            ) from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
