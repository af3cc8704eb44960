"""The edge where failures of aiohttp, the operating system and TLS become mcwatch's own errors."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, DecompressSizeError
from yarl import URL

from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, MisconfiguredError, TransientError
from mcwatch.tls import TlsRemedies, tls_failure

_TLS_REMEDIES = TlsRemedies(
    trust="check host name and port; set tls.ca_file to the authority that signed the certificate, "
    "or tls.verify: false to accept any",
    identity="check tls.cert_file and tls.key_file: the other side wants a client certificate it trusts",
    plain="check the port, or write the URL with http://",
)
_REACH_REMEDY = "check the address, that the other side runs, and any firewall or proxy in between; it is tried again"


@dataclass(frozen=True, slots=True)
class Where:
    """The other side as error texts name it: host and port, never path, query, user or password."""

    peer: str
    proxy: str | None = None

    @classmethod
    def of(cls, url: URL, proxy: URL | None, unix_socket: Path | None) -> Self:
        """Name the target of a request."""
        if unix_socket:
            return cls(str(unix_socket))
        return cls(f"{url.host}:{url.port}", f"{proxy.host}:{proxy.port}" if proxy else None)

    def __str__(self) -> str:
        return f"{self.peer} (through the proxy {self.proxy})" if self.proxy else self.peer


@contextmanager
def translated(where: Where) -> Iterator[None]:
    """Turn whatever a request raises inside into a McwatchError with the original as its cause."""
    try:
        yield
    except McwatchError:
        raise
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _translate(error, where) from error


def _translate(error: BaseException, where: Where) -> McwatchError:
    tls = _tls_error(error)
    if tls is not None:
        return tls_failure(tls, str(where), _TLS_REMEDIES)
    for kinds, build in _TABLE:
        if isinstance(error, kinds):
            return build(error, where)
    return TransientError(f"the connection to {where} failed", reason=FailureReason.CONNECTION)


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Find the TLS failure behind what the library raised (its own subclasses lack the details)."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError) and not isinstance(seen, aiohttp.ClientError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _out_of_reach(message: str, reason: FailureReason = FailureReason.CONNECTION) -> McwatchError:
    return TransientError(message, reason=reason, remedy=_REACH_REMEDY)


def _proxy_refusal(error: BaseException, where: Where) -> McwatchError:
    status = error.status if isinstance(error, aiohttp.ClientHttpProxyError) else 0
    message = f"the proxy {where.proxy} answered {status} instead of connecting to {where.peer}"
    if status == 407:
        return AuthError(message, remedy="check user name and password in proxy: http://user:password@host:port")
    if 400 <= status < 500:
        return MisconfiguredError(message, remedy="allow this host and port on the proxy")
    return TransientError(message, reason=FailureReason.CONNECTION)


def _unreachable_proxy(_error: BaseException, where: Where) -> McwatchError:
    return TransientError(
        f"the proxy {where.proxy} cannot be reached", reason=FailureReason.CONNECTION, remedy=_REACH_REMEDY
    )


def _timeout(_error: BaseException, where: Where) -> McwatchError:
    return _out_of_reach(f"{where} did not answer in time", FailureReason.TIMEOUT)


def _unresolved(_error: BaseException, where: Where) -> McwatchError:
    return TransientError(
        f"the host name of {where} cannot be resolved", reason=FailureReason.CONNECTION, remedy=_REACH_REMEDY
    )


def _unreachable(error: BaseException, where: Where) -> McwatchError:
    number = error.errno if isinstance(error, OSError) else None
    why = os.strerror(number) if number and number > 0 else "connection failed"
    return _out_of_reach(f"{where} cannot be reached: {why}")


def _payload(error: BaseException, where: Where) -> McwatchError:
    if isinstance(error.__cause__, (ContentEncodingError, DecompressSizeError)):
        return TransientError(f"the compressed answer of {where} cannot be unpacked", reason=FailureReason.BAD_RESPONSE)
    return TransientError(f"the answer of {where} was cut off", reason=FailureReason.CONNECTION)


def _not_http(_error: BaseException, where: Where) -> McwatchError:
    return TransientError(f"the answer of {where} is not HTTP", reason=FailureReason.BAD_RESPONSE)


def _disconnected(_error: BaseException, where: Where) -> McwatchError:
    return _out_of_reach(f"{where} closed the connection")


def _bad_request(_error: BaseException, where: Where) -> McwatchError:
    return MisconfiguredError(
        f"the request to {where} cannot be written", remedy="check the URL and that no header value holds a line break"
    )


# The first match counts: subclasses stand before their bases.
_TABLE = (
    ((TimeoutError,), _timeout),
    ((aiohttp.ClientHttpProxyError,), _proxy_refusal),
    ((aiohttp.ClientProxyConnectionError,), _unreachable_proxy),
    ((aiohttp.ClientConnectorDNSError,), _unresolved),
    ((aiohttp.ClientConnectorError,), _unreachable),
    ((aiohttp.ClientPayloadError,), _payload),
    ((aiohttp.ClientResponseError,), _not_http),
    ((aiohttp.ClientConnectionError, OSError), _disconnected),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError), _bad_request),
)
