"""TLS contexts, shared: one costs about 25 ms and 1 MB, and a thousand accounts mostly want the same."""

import ssl
from functools import lru_cache
from pathlib import Path

from mcwatch.tls import TlsOptions

_Stamp = tuple[int, int] | None


def shared_context(options: TlsOptions) -> ssl.SSLContext:
    """Return the context for these options, built anew when one of their files has changed.

    Raises MisconfiguredError naming the file that cannot be used.
    """
    stamps = tuple(_stamp(path) for path in (options.ca_file, options.cert_file, options.key_file))
    return _context(options, stamps)


@lru_cache(maxsize=32)
def _context(options: TlsOptions, _stamps: tuple[_Stamp, ...]) -> ssl.SSLContext:
    return options.context()


def _stamp(path: Path | None) -> _Stamp:
    try:
        status = path.stat() if path else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_ino) if status else None
