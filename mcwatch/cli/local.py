"""Short questions to the running daemon over its control socket, without the weight of a client library."""

import http.client
import pwd
import socket
import stat
from pathlib import Path
from typing import TypeVar

import msgspec

from mcwatch.domain.errors import FailureReason, McwatchError, PermanentError, TransientError
from mcwatch.domain.failure import Failure
from mcwatch.httpserver.socket_path import control_socket_path, short_path

T = TypeVar("T")

TIMEOUT_SECS = 10.0
_CONNECT_SECS = 5.0


class _Connection(http.client.HTTPConnection):
    """HTTP over the socket; a stream ends with its connection."""

    _http_vsn, _http_vsn_str = 10, "HTTP/1.0"

    def __init__(self, connected: socket.socket) -> None:
        super().__init__("mcwatch")
        self.sock = connected


def connect(store_file: Path, timeout_secs: float = _CONNECT_SECS) -> socket.socket | None:
    """Connect to the daemon that works on this store; None when none runs.

    Raises PermanentError when it belongs to another user, TransientError when it is there and takes no connection.
    """
    path = control_socket_path(store_file)
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return None
        with short_path(path) as short:
            return _connected(short, timeout_secs)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except PermissionError as error:
        raise _not_ours(path) from error
    except (TimeoutError, BlockingIOError) as error:
        raise silent(path, timeout_secs) from error
    except OSError as error:
        raise PermanentError(
            f"the control socket {path} cannot be used: {error.strerror}",
            reason=FailureReason.CONNECTION,
            remedy="check store.url and the directory it names",
        ) from error


def ask(store_file: Path, target: str, kind: type[T], timeout_secs: float = TIMEOUT_SECS) -> T | None:
    """Ask ``target`` (path and query) of the daemon that works on this store; None when none runs.

    Raises TransientError when a daemon is there and does not answer, PermanentError when it says no.
    """
    connected = connect(store_file, timeout_secs)
    if connected is None:
        return None
    with connected:
        try:
            connection = _Connection(connected)
            connection.request("GET", target)
            response = connection.getresponse()
            return decoded(response.status, response.read(), kind, target)
        except TimeoutError as error:
            raise silent(control_socket_path(store_file), timeout_secs) from error
        except (OSError, http.client.HTTPException):
            # It has ended in the middle of it.
            return None


def stream(
    connected: socket.socket, store_file: Path, target: str, question: msgspec.Struct
) -> http.client.HTTPResponse:
    """Ask for a stream; return the answer, of which nothing has been read. Raises as :func:`ask` does."""
    connection = _Connection(connected)
    try:
        connection.request("POST", target, body=msgspec.json.encode(question))
        response = connection.getresponse()
    except TimeoutError as error:
        raise silent(control_socket_path(store_file), connected.gettimeout() or 0.0) from error
    except (OSError, http.client.HTTPException) as error:
        raise gone() from error
    if response.status != 200:
        decoded(response.status, response.read(), msgspec.Raw, target)
    return response


def decoded(status: int, body: bytes, kind: type[T], target: str) -> T:
    """Return an answer; raises PermanentError for one that says no or cannot be read."""
    try:
        if status == 200:
            return msgspec.json.decode(body, type=kind)
        failure = msgspec.json.decode(body, type=Failure)
    except msgspec.DecodeError as error:
        raise PermanentError(
            f"the running daemon's answer ({status}) cannot be read",
            remedy="it may be of another version: use the command of the version that runs",
        ) from error
    if status in (404, 405):
        raise PermanentError(
            f"the running daemon does not know {target.partition('?')[0]}: it is of another version",
            remedy="use the command of the version that runs, or restart the daemon with this one",
        )
    raise PermanentError(f"the running daemon says: {failure.error}", remedy=failure.remedy)


def gone() -> TransientError:
    """Return the error of a daemon that ended without a word."""
    return TransientError(
        "the daemon went away",
        reason=FailureReason.CONNECTION,
        remedy="it was killed or has crashed: see its log",
    )


def _connected(short: Path, timeout_secs: float) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(timeout_secs)
        connected.connect(str(short))
    except BaseException:
        connected.close()
        raise
    return connected


def _not_ours(path: Path) -> McwatchError:
    try:
        owner = _user(path.stat().st_uid)
    except OSError:
        owner = ""
    return PermanentError(
        f"the control socket {path} belongs to {owner or 'another user'}, and no other may use it",
        reason=FailureReason.REFUSED,
        remedy=f"run the command as that user: sudo -u {owner or 'USER'} mcwatch …",
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def silent(path: Path, timeout_secs: float) -> TransientError:
    """Return the error of a daemon that is there and does not answer."""
    return TransientError(
        f"the daemon at {path} did not answer within {timeout_secs:.0f} s",
        reason=FailureReason.TIMEOUT,
        remedy="see its log; it may be overloaded or stopped by a signal",
    )
