"""What the stores write in the same way: moments, and what is kept of a row that cannot be read."""

import hashlib
from datetime import datetime

from mcwatch.domain.record import Unreadable

KEPT_BYTES = 64 * 1024
"""Of a row that cannot be read: enough to see what it is, where an answer of 16 MiB may be one such row."""


def milliseconds(at: datetime) -> int:
    """Return Unix time in milliseconds."""
    return int(at.timestamp() * 1000)


def problem_text(row: Unreadable, kept_bytes: int) -> str:
    """Say what is wrong with a row, and where not all of it is kept how much is, and the digest of the whole."""
    if len(row.raw) <= kept_bytes:
        return row.problem
    digest = hashlib.sha256(row.raw).hexdigest()
    return f"{row.problem} (the first {kept_bytes} of {len(row.raw)} bytes kept; SHA-256 of all {digest})"
