"""A strict `_bulk` receiver, written from the published API (Elasticsearch reference: Bulk API, Data streams).

It refuses what Elasticsearch refuses: another action than ``create``, a body without its last line end, a document of a
data stream without ``@timestamp``, an unknown parameter. An ``_id`` that is there already is a conflict. Also a
program: ``python -m tests.fakes.elasticsearch --port 9200 --out FILE`` keeps what it accepts in FILE, a line
``{"index": …, "id": …, "source": …}`` per document, synced before the answer, and knows it again after a restart.
"""

import argparse
import asyncio
import gzip
import json
import os
import random
import re
import ssl
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
from aiohttp import web

from tests.fakes.http_server import HttpServer

Product = Literal["elasticsearch", "opensearch", "old-elasticsearch", "emulator", "unnamed"]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_PARAMETERS = {"filter_path", "pipeline", "refresh", "timeout", "require_alias", "pretty"}
_TAGLINES = {"opensearch": "The OpenSearch Project: https://opensearch.org/", "emulator": "Nearly the same"}
Failure = tuple[int, str, str]
"""Status, type and reason of an item's error."""
Whole = Callable[[], web.Response]
Stored = tuple[str, str, bytes]
"""Index, id and source."""


@dataclass(frozen=True)
class Seen:
    """A request as it came, unpacked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Options:
    """What kind of server it plays."""

    product: Product = "elasticsearch"
    version: str = "8.17.0"
    data_streams: set[str] = field(default_factory=lambda: {"logs-mimecast-default"})
    templates: tuple[str, ...] = ("logs-",)
    """Beginnings of names of which it makes data streams."""
    auto_create: bool = True
    """Whether it makes ordinary indices for other names."""
    pipelines: set[str] = field(default_factory=set)
    authorization: str | None = None
    rights: set[str] = field(default_factory=lambda: {"create_doc", "auto_configure", "monitor", "view_index_metadata"})
    max_content_bytes: int = 100 * 2**20
    chosen: Callable[[str, dict[str, Any]], Failure | None] = lambda _id, _document: None
    """What it answers about a document of its own will."""


class BulkReceiver(HttpServer):
    """A server on a loopback port; ``documents`` holds the source of each document by id, by index."""

    def __init__(self, options: Options | None = None, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.options = options or Options()
        super().__init__(self._take, port, tls, unpacks=False, patience_secs=0)
        self.documents: dict[str, dict[str, bytes]] = {}
        self.written: list[bytes] = []
        self.conflicts = 0
        self.backing = Counter[str]()
        self.requests: list[Seen] = []
        self.whole: deque[Whole] = deque()
        self.arrived = asyncio.Event()
        self.engaged = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.keep: Callable[[list[Stored]], None] = lambda _stored: None

    @property
    def bulks(self) -> list[Seen]:
        """The bulk requests among all."""
        return [seen for seen in self.requests if seen.path.endswith("/_bulk")]

    async def stop(self) -> None:
        """End, and break what is under way."""
        self.answers.set()
        await super().stop()

    def roll_over(self, name: str) -> None:
        """Begin a new backing index, which knows none of the ids of the old one."""
        self.backing[name] += 1

    def store(self, name: str, identity: str, source: bytes) -> bool:
        """Write a document; return whether the id was new to the write index."""
        documents = self.documents.setdefault(f"{name}-{self.backing[name]:06d}", {})
        if identity in documents:
            self.conflicts += 1
            return False
        documents[identity] = source
        self.written.append(source)
        return True

    async def _take(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        packed = request.headers.get("Content-Encoding") == "gzip"
        body = _unpacked(raw) if packed else raw
        self.requests.append(
            Seen(request.method, request.path, dict(request.query), dict(request.headers), body or b"")
        )
        self.engaged.set()
        await self.answers.wait()
        if body is None:
            response = _error(400, "parse_exception", "the body is no gzip")
        elif self.options.authorization not in (None, request.headers.get("Authorization")):
            response = _error(401, "security_exception", "unable to authenticate user")
        else:
            response = self._routed(request, body)
        if self.options.product == "elasticsearch":
            response.headers["X-Elastic-Product"] = "Elasticsearch"
        self.arrived.set()
        return response

    def _routed(self, request: web.Request, body: bytes) -> web.Response:
        path = request.path
        if path == "/":
            return self._info()
        if match := re.fullmatch(r"/([^/]+)/_bulk", path):
            return self._bulk(request, match[1], body)
        if path == "/_security/user/_has_privileges" and self.options.product == "elasticsearch":
            return self._has_privileges(json.loads(body))
        if match := re.fullmatch(r"/_data_stream/([^/]+)|/([^/]+)/_alias", path):
            return self._exists(match[1], match[2])
        return _error(400, "illegal_argument_exception", f"no handler found for uri [{path}]")

    def _info(self) -> web.Response:
        options = self.options
        if options.product == "unnamed":
            return web.Response(status=404, text="<h1>nothing here</h1>")
        if "monitor" not in options.rights:
            return _error(403, "security_exception", "action [cluster:monitor/main] is unauthorized")
        version: dict[str, Any] = {"number": options.version, "build_flavor": "default"}
        if options.product in _TAGLINES:
            version["distribution"] = "opensearch"
        return web.json_response(
            {"version": version, "tagline": _TAGLINES.get(options.product, "You Know, for Search")}
        )

    def _has_privileges(self, question: dict[str, Any]) -> web.Response:
        (index,) = question["index"]
        granted = {right: right in self.options.rights for right in index["privileges"]}
        return web.json_response(
            {"has_all_requested": all(granted.values()), "index": dict.fromkeys(index["names"], granted)}
        )

    def _exists(self, data_stream: str | None, index: str | None) -> web.Response:
        if "view_index_metadata" not in self.options.rights:
            return _error(403, "security_exception", "this action is unauthorized")
        if data_stream in self.options.data_streams or f"{index}-000000" in self.documents:
            return web.json_response({})
        return _error(404, "index_not_found_exception", f"no such index [{data_stream or index}]")

    def _bulk(self, request: web.Request, name: str, body: bytes) -> web.Response:
        refusal = next(self._objections(request, body), None)
        if refusal is not None:
            return refusal
        lines = body.split(b"\n")[:-1]
        if len(lines) % 2 or not lines:
            return _error(400, "illegal_argument_exception", "no requests added, or an action without its document")
        failures: list[tuple[str, Failure | None]] = []
        stored: list[Stored] = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            identity = _identity(action)
            if identity is None:
                return _error(400, "illegal_argument_exception", "Malformed action/metadata line")
            failure = self._write(request, name, identity, source)
            failures.append((identity, failure))
            stored += [] if failure else [(name, identity, source)]
        self.keep(stored)
        if self.options.product == "emulator" and not any(failure for _, failure in failures):
            return web.json_response({"errors": False, "items": [{"create": {"status": 201}}]})
        return _answer(name, failures, request.query.get("filter_path"))

    def _objections(self, request: web.Request, body: bytes) -> Iterator[web.Response]:
        """Yield why the request as a whole is refused, the first reason first."""
        if self.whole:
            yield self.whole.popleft()()
        if len(body) > self.options.max_content_bytes:
            yield _error(413, "content_too_long_exception", "entity content is too long")
        if request.content_type not in {"application/x-ndjson", "application/json"}:
            yield _error(406, "media_type_header_exception", "Content-Type header is not supported")
        unknown = set(request.query) - _PARAMETERS - ({"require_data_stream"} if self._knows_requirement else set())
        if unknown:
            yield _error(
                400, "illegal_argument_exception", f"request contains unrecognized parameter: [{min(unknown)}]"
            )
        if not body:
            yield _error(400, "parse_exception", "request body is required")
        if not body.endswith(b"\n"):
            yield _error(400, "illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]")

    @property
    def _knows_requirement(self) -> bool:
        numbers = [int(part) for part in self.options.version.split(".")[:2]]
        return self.options.product == "elasticsearch" and numbers >= [8, 13]

    def _write(self, request: web.Request, name: str, identity: str, source: bytes) -> Failure | None:
        failure = next(self._failures(request, name, identity, source), None)
        if failure is None and not self.store(name, identity, source):
            reason = f"[{identity}]: version conflict, document already exists (current version [1])"
            return 409, "version_conflict_engine_exception", reason
        return failure

    def _failures(self, request: web.Request, name: str, identity: str, source: bytes) -> Iterator[Failure]:
        """Yield why one document is refused, the first reason first."""
        missing = self._missing(request, name)
        if missing:
            yield missing
        pipeline = request.query.get("pipeline")
        if pipeline and pipeline not in self.options.pipelines:
            yield 400, "illegal_argument_exception", f"pipeline with id [{pipeline}] does not exist"
        if "create_doc" not in self.options.rights:
            yield 403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized"
        try:
            document = _strict(source)
        except ValueError as error:
            yield 400, "document_parsing_exception", f"failed to parse: {error}"
            return
        failure = self.options.chosen(identity, document)
        if failure:
            yield failure
        if name in self.options.data_streams and not _TIME.fullmatch(str(document.get("@timestamp"))):
            yield 400, "document_parsing_exception", "data stream timestamp field [@timestamp] is missing"

    def _missing(self, request: web.Request, name: str) -> Failure | None:
        options = self.options
        if name in options.data_streams:
            return None
        if name.startswith(options.templates) and "auto_configure" in options.rights:
            options.data_streams.add(name)
            return None
        if request.query.get("require_data_stream") == "true":
            reason = f"[require_data_stream] request flag is [true] and [{name}] is not a data stream"
            return 404, "resource_not_found_exception", reason
        if not options.auto_create:
            return 404, "index_not_found_exception", f"no such index [{name}]"
        return None


def _unpacked(raw: bytes) -> bytes | None:
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error):
        return None


def _identity(action: bytes) -> str | None:
    """Return the id of a ``create``; None for any other action, none of which mcwatch has reason to send."""
    try:
        decoded = msgspec.json.decode(action, type=dict[str, dict[str, str]])
    except msgspec.DecodeError:
        return None
    identity = decoded.get("create", {}).get("_id")
    return identity if len(decoded) == 1 and identity and len(identity.encode()) <= 512 else None


def _strict(source: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("duplicate field")
        return found

    document: object = json.loads(source, object_pairs_hook=unique)
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of failure for the caller
    return document


def _answer(name: str, failures: list[tuple[str, Failure | None]], filter_path: str | None) -> web.Response:
    items = [{"create": {"_index": name, "_id": identity, **_outcome(failure)}} for identity, failure in failures]
    whole = {"errors": any(failure for _, failure in failures), "took": 3, "items": items}
    if filter_path is None:
        return web.json_response(whole)
    return web.json_response(_filtered(whole, [path.split(".") for path in filter_path.split(",")]) or {})


def _outcome(failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return {"status": 201, "result": "created", "_version": 1}
    status, kind, reason = failure
    return {"status": status, "error": {"type": kind, "reason": reason, "index_uuid": "x", "shard": "0"}}


def _filtered(value: Any, paths: list[list[str]]) -> Any:  # noqa: ANN401 - any JSON
    """Keep what the paths name, as the reference's "Response filtering" says: lists are looked through."""
    if [] in paths:
        return value
    if isinstance(value, list):
        return [kept for one in value if (kept := _filtered(one, paths)) is not None] or None
    if not isinstance(value, dict):
        return None
    found = {}
    for key, one in value.items():
        below = [path[1:] for path in paths if path and path[0] in ("*", key)]
        if below and (kept := _filtered(one, below)) is not None:
            found[key] = kept
    return found or None


def _error(status: int, kind: str, reason: str) -> web.Response:
    return web.json_response({"error": {"type": kind, "reason": reason}, "status": status}, status=status)


def whole_error(status: int, kind: str = "", reason: str = "", headers: dict[str, str] | None = None) -> Whole:
    """Return what answers one bulk request as a whole, to be put into :attr:`BulkReceiver.whole`."""

    def answer() -> web.Response:
        response = _error(status, kind, reason) if kind else web.Response(status=status, text=reason)
        response.headers.update(headers or {})
        return response

    return answer


class _Line(msgspec.Struct):
    index: str
    id: str
    source: msgspec.Raw


def keep_in_file(receiver: BulkReceiver, path: Path) -> None:
    """Let the receiver know what the file holds, and add to it, synced, before each answer goes out."""
    if path.exists():
        whole = path.read_bytes()
        whole = whole[: whole.rfind(b"\n") + 1]
        for line in whole.splitlines():
            known = msgspec.json.decode(line, type=_Line)
            receiver.store(known.index, known.id, bytes(known.source))
        os.truncate(path, len(whole))

    def keep(stored: list[Stored]) -> None:
        lines = [_Line(index, identity, msgspec.Raw(source)) for index, identity, source in stored]
        with path.open("ab") as file:
            file.write(msgspec.json.Encoder().encode_lines(lines))
            file.flush()
            os.fsync(file.fileno())

    receiver.keep = keep


def _faulty(dice: random.Random, share: float) -> Callable[[str, dict[str, Any]], Failure | None]:
    def choose(_identity: str, _document: dict[str, Any]) -> Failure | None:
        if dice.random() >= share / 10:
            return None
        return 429, "es_rejected_execution_exception", "rejected execution of coordinating operation"

    return choose


async def _serve(arguments: argparse.Namespace) -> None:
    receiver = BulkReceiver(port=arguments.port)
    dice = random.Random(arguments.seed)
    keep_in_file(receiver, arguments.out)
    receiver.options.chosen = _faulty(dice, arguments.faults)
    await receiver.start()
    print(f"listening on {receiver.url}", flush=True)
    while True:
        receiver.arrived.clear()
        await receiver.arrived.wait()
        if not receiver.whole and dice.random() < arguments.faults:
            receiver.whole.append(dice.choice([whole_error(429), whole_error(503), whole_error(502), whole_error(413)]))


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="file that keeps what was accepted")
    parser.add_argument("--faults", type=float, default=0.0, help="share of requests answered 429, 503, 502 or 413")
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
