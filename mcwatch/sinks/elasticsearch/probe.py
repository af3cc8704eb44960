"""Looking at a server without writing a document: which product, whether the target is there and may be written to."""

from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from mcwatch.domain.errors import AuthError
from mcwatch.httpclient.client import Response
from mcwatch.httpclient.statuses import error_for
from mcwatch.sinks.elasticsearch.bulk import CONTENT_TYPE, WriteTarget
from mcwatch.sinks.elasticsearch.server import Product, Server, identify
from mcwatch.sinks.receiver import Receiver

_PRIVILEGES = ("create_doc", "auto_configure")
_NOT_THERE_NOW = (429, 500, 502, 503, 504)


class _Privileges(msgspec.Struct):
    index: dict[str, dict[str, bool]]


_PRIVILEGES_OF = msgspec.json.Decoder(_Privileges)


@dataclass(frozen=True, slots=True)
class _Rights:
    """What the credential may do; None where the server does not say."""

    write: bool | None = None
    make: bool | None = None


async def server_behind(receiver: Receiver) -> tuple[Server, bool]:
    """Ask who answers; say also whether that will still hold at the next request."""
    response = (await receiver.send("GET", "/")).response
    return identify(response), response.status not in (401, *_NOT_THERE_NOW)


async def examined(receiver: Receiver, target: WriteTarget) -> tuple[Server, str]:
    """Try what can be tried without a document; return the server and the findings in words.

    Raises what any request raises, and AuthError where the server says that the credential may not write. A look that
    is not allowed is no failure: the right to write is another.
    """
    answer = await receiver.send("GET", "/")
    response, peer = answer.response, answer.peer
    if response.status in (401, *_NOT_THERE_NOW):
        _raise_for(response, peer)
    server = identify(response)
    if server.product is not Product.ELASTICSEARCH:
        await _answers_bulk(receiver, target)
    is_real = server.product in (Product.ELASTICSEARCH, Product.OPENSEARCH)
    is_there = await _is_there(receiver, target) if is_real else None
    rights = await _rights(receiver, target) if server.product is Product.ELASTICSEARCH else _Rights()
    if rights.write is False:
        raise AuthError(
            f"{peer} says that the credential may not create documents in {target}",
            remedy="grant it the index privilege create_doc",
        )
    if is_there is False and rights.make is False:
        raise AuthError(
            f"{target} does not exist at {peer}, and the credential may not make it",
            remedy="create it, or grant the index privilege auto_configure",
        )
    return server, "; ".join((f"{server} at {peer}", _whereabouts(target, is_there), _permission(rights)))


def _whereabouts(target: WriteTarget, is_there: bool | None) -> str:  # noqa: FBT001 - a finding
    if is_there is None:
        return f"whether {target} exists it does not say"
    if is_there:
        return f"{target} exists"
    origin = " from the index template that matches it" if target.is_data_stream else ""
    return f"{target} does not exist yet: the first delivery makes it{origin}"


def _permission(rights: _Rights) -> str:
    return "the credential may create documents" if rights.write else "whether create is allowed it does not say"


async def _answers_bulk(receiver: Receiver, target: WriteTarget) -> None:
    """Send a bulk request with nothing in it, which a server with that API refuses as empty, or takes."""
    answer = await receiver.send(
        "POST", target.path(required=False), headers={"Content-Type": CONTENT_TYPE}, body=b"\n"
    )
    if answer.response.status not in {400, 406, 411, 415}:
        _raise_for(answer.response, answer.peer)


async def _is_there(receiver: Receiver, target: WriteTarget) -> bool | None:
    name = quote(target.name, safe="")
    answer = await receiver.send("GET", f"/_data_stream/{name}" if target.is_data_stream else f"/{name}/_alias")
    return {200: True, 404: False}.get(answer.response.status)


async def _rights(receiver: Receiver, target: WriteTarget) -> _Rights:
    """Ask what the credential may do; a server without security has no such question."""
    question = {"index": [{"names": [target.name], "privileges": _PRIVILEGES}]}
    answer = await receiver.send(
        "POST",
        "/_security/user/_has_privileges",
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(question),
    )
    if answer.response.status != 200:
        return _Rights()
    try:
        granted = _PRIVILEGES_OF.decode(answer.response.body).index.get(target.name, {})
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Rights()
    return _Rights(*map(granted.get, _PRIVILEGES))


def _raise_for(response: Response, peer: str) -> None:
    error = error_for(response, peer)
    if error:
        raise error
