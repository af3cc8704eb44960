"""Asking the running daemon over its control socket."""

from pathlib import Path
from typing import TypeVar

import msgspec

from mcwatch.domain.errors import FailureReason, PermanentError, TransientError
from mcwatch.httpclient.client import ClientOptions, HttpClient, Response
from mcwatch.httpserver.socket_path import control_socket_path, short_path

T = TypeVar("T")

_TIMEOUT_SECS = 10.0


class _Failure(msgspec.Struct, frozen=True):
    error: str
    remedy: str = ""


async def ask(store_file: Path, target: str, kind: type[T]) -> T | None:
    """Ask ``target`` (path and query) of the daemon that works on this store; None when none runs.

    Raises TransientError when a daemon is there and does not answer, PermanentError when it says no.
    """
    path = control_socket_path(store_file)
    if not path.is_socket():
        return None
    with short_path(path) as short:
        async with HttpClient(ClientOptions(timeout_secs=_TIMEOUT_SECS, unix_socket=short)) as client:
            try:
                response = await client.request("GET", f"http://mcwatch{target}")
            except TransientError as error:
                if error.reason is FailureReason.CONNECTION:
                    return None
                raise TransientError(
                    f"the daemon at {path} did not answer within {_TIMEOUT_SECS:.0f} s",
                    reason=error.reason,
                    remedy="see its log; it may be overloaded or stopped by a signal",
                ) from error
    return _decoded(response, kind)


def _decoded(response: Response, kind: type[T]) -> T:
    try:
        if response.status == 200:
            return msgspec.json.decode(response.body, type=kind)
        failure = msgspec.json.decode(response.body, type=_Failure)
    except msgspec.DecodeError as error:
        raise PermanentError(
            f"the running daemon's answer ({response.status}) cannot be read",
            remedy="it may be of another version: use the command of the version that runs",
        ) from error
    raise PermanentError(f"the running daemon says: {failure.error}", remedy=failure.remedy)
