"""TLS contexts, shared: one costs about 25 ms and 1 MB, and a thousand accounts mostly want the same."""

import ssl
from functools import lru_cache
from pathlib import Path

from mcwatch.domain.errors import MisconfiguredError
from mcwatch.tls import TlsOptions

_Stamp = tuple[int, int] | None


class LiveContext:
    """The context of one client, exchanged when the files it was made of are.

    Making it raises MisconfiguredError naming the file that cannot be used. Files that become unusable later, a
    certificate whose key is not written yet for instance, leave the context at work that was made before;
    ``trouble`` is the error then.
    """

    def __init__(self, options: TlsOptions) -> None:
        self._options = options
        self._stamps = _stamps(options)
        self._context = _context(options, self._stamps)
        self.trouble: MisconfiguredError | None = None

    def get(self) -> ssl.SSLContext:
        """Return the context for the files as they are now."""
        stamps = _stamps(self._options)
        if stamps == self._stamps:
            self.trouble = None
            return self._context
        try:
            self._context = _context(self._options, stamps)
        except MisconfiguredError as error:
            self.trouble = error
        else:
            self._stamps, self.trouble = stamps, None
        return self._context


def _stamps(options: TlsOptions) -> tuple[_Stamp, ...]:
    return tuple(_stamp(path) for path in (options.ca_file, options.cert_file, options.key_file) if path)


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


@lru_cache(maxsize=32)
def _context(options: TlsOptions, _stamps: tuple[_Stamp, ...]) -> ssl.SSLContext:
    return options.context()
