"""Where a receiver is, and how to reach it."""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from mcwatch.option_types import Secret
from mcwatch.sinks.receiver.clock import wall_clock
from mcwatch.tls import TlsOptions

Header = tuple[str, Callable[[], str]]
"""A name, and what gives the value for each request anew, so that a changed secret file counts at once."""


@dataclass(frozen=True, slots=True)
class Target:
    """One URL, without user and password."""

    url: str = field(repr=False)

    @property
    def peer(self) -> str:
        """The target as error texts name it: path and query may hold a token."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")

    @property
    def is_in_the_clear(self) -> bool:
        """Whether what is sent crosses a network unencrypted."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and not _is_loopback(parts.hostname or "")

    def with_path(self, path: str) -> str:
        """Return the URL with ``path`` put behind its own."""
        parts = urlsplit(self.url)
        return parts._replace(path=parts.path.rstrip("/") + path).geturl() if path else self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverOptions:
    """How to reach a receiver.

    Args:
        targets: its URLs, the preferred one first.
        headers: sent with every request, over what a request brings itself.
        timeout_secs: for a whole request.
        proxy: URL of an HTTP proxy.
        tls: whom to trust.
        answer_bytes: how much of an answer is read; the rest is left.
        now: the time, for answers that do not tell it.
    """

    targets: Sequence[Target]
    headers: Sequence[Header] = ()
    timeout_secs: float = 30.0
    proxy: Secret | None = None
    tls: TlsOptions = field(default_factory=TlsOptions)
    answer_bytes: int = 64 * 1024
    now: Callable[[], datetime] = wall_clock


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
