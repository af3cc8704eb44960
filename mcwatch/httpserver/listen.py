"""Opening the listening socket, and what can be wrong with the address."""

import errno
import ipaddress
import os
import socket

from mcwatch.domain.errors import ConfigError, FailureReason, TransientError

_REMEDIES = {
    errno.EADDRINUSE: "another program listens there: stop it, or give this mcwatch another port",
    errno.EACCES: "ports below 1024 need the capability CAP_NET_BIND_SERVICE: choose a higher port",
    errno.EADDRNOTAVAIL: "this machine has no such address: use one it has, 127.0.0.1, or 0.0.0.0 for all",
}

_PASSING = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})
"""Another program may be about to end, and a network about to come up, when a machine starts."""


def parse(listen: str) -> tuple[str, int]:
    """Split ``host:port`` (``[v6]:port``; ``:port`` for every IPv4 address); raises ConfigError."""
    host, colon, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or len(port) > 5 or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigError([f"http.listen: {listen!r} is not host:port; write for instance 127.0.0.1:9640"])
    return host or "0.0.0.0", int(port)  # noqa: S104 - asked for


def is_loopback(address: str) -> bool:
    """Tell whether only this machine reaches a bound address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def open_socket(listen: str) -> socket.socket:
    """Bind the address; raises ConfigError that names ``http.listen``, the address and what to do.

    Raises TransientError, with the same words, where the address may be free or there in a moment: whoever started this
    may try again.
    """
    host, port = parse(listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError([f"http.listen: {listen}: the host name {host!r} cannot be resolved: {error}"]) from error
    family, _, _, _, address = found[0]
    try:
        return _bound(family, address)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "choose another address")
        reason = os.strerror(error.errno) if error.errno else str(error)
        problem = f"http.listen: cannot listen on {listen}: {reason}"
        if error.errno in _PASSING:
            raise TransientError(problem, reason=FailureReason.CONNECTION, remedy=remedy) from error
        raise ConfigError([f"{problem}; {remedy}"]) from error


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A restart must not wait until connections of the last run have timed out.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)
    except BaseException:
        bound.close()
        raise
    return bound
