"""The signature of a body, by which a receiver knows who wrote it and when."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mcwatch.option_types import Secret
from mcwatch.sinks.receiver import revealed


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs bodies as sent: HMAC-SHA256, keyed by the secret's UTF-8 bytes, over ``<timestamp>.<body>``.

    The timestamp is Unix time in whole seconds, as decimal digits.
    """

    secret: Secret
    header: str
    timestamp_header: str
    now: Callable[[], datetime]

    def headers(self, body: bytes) -> dict[str, str]:
        """Return the headers for ``body``; raises MisconfiguredError for a secret that cannot be read or is empty."""
        key = revealed(self.secret.reveal, "signature")
        timestamp = str(int(self.now().timestamp()))
        mac = hmac.new(key.encode(), f"{timestamp}.".encode("ascii"), hashlib.sha256)
        mac.update(body)
        return {self.timestamp_header: timestamp, self.header: f"sha256={mac.hexdigest()}"}
