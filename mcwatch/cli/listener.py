"""Asking the HTTP listener of this machine's daemon whether it lives, without the weight of a client library."""

import http.client
import ssl
from contextlib import closing

import msgspec

from mcwatch.domain.errors import FailureReason, PermanentError, TransientError

_EVERY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on


class _Answer(msgspec.Struct):
    alive: bool
    reason: str = ""


def ask_alive(listen: str, *, speaks_tls: bool, timeout_secs: float) -> None:
    """Return when the daemon that listens on ``listen`` (host:port) lives.

    ``speaks_tls`` is what is tried first: the environment may say otherwise. Raises PermanentError when nobody listens
    there or the daemon is not well, TransientError when it does not answer.
    """
    address = _address(listen)
    try:
        try:
            status, body = _asked(address, timeout_secs, over_tls=speaks_tls)
        except (ssl.SSLError, http.client.BadStatusLine, ConnectionResetError):
            status, body = _asked(address, timeout_secs, over_tls=not speaks_tls)
    except TimeoutError as error:
        raise TransientError(
            f"the daemon at {listen} did not answer within {timeout_secs:.0f} s",
            reason=FailureReason.TIMEOUT,
            remedy="see its log; it may be overloaded or stopped by a signal",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise PermanentError(
            f"no daemon answers at http.listen {listen}: {error}",
            reason=FailureReason.CONNECTION,
            remedy="start mcwatch run, or check http.listen",
        ) from error
    _judge(listen, status, body)


def _address(listen: str) -> tuple[str, int]:
    """Return where to connect; of every address this machine's own."""
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise PermanentError(
            f"http.listen is {listen}: of that nobody knows the port",
            remedy="give it a port of its own, or ask the /healthz that the daemon's log names",
        )
    host = host.removeprefix("[").removesuffix("]")
    return _EVERY_ADDRESS.get(host, host), int(port)


def _asked(address: tuple[str, int], timeout_secs: float, *, over_tls: bool) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=timeout_secs)
    if over_tls:
        # Nothing secret is said or heard, and an expired certificate makes no daemon dead.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(*address, timeout=timeout_secs, context=context)
    with closing(connection):
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        return response.status, response.read()


def _judge(listen: str, status: int, body: bytes) -> None:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError as error:
        raise PermanentError(
            f"what answers at http.listen {listen} ({status}) is no mcwatch",
            remedy="another program listens there: check http.listen",
        ) from error
    if not answer.alive:
        raise PermanentError(f"the daemon is not well: {answer.reason}", remedy="see its log, and restart it")
