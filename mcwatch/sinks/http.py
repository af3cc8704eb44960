"""The http sink: one request per batch to any web hook, accepted with a 2xx."""

import asyncio
import base64
import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

from isal import igzip
from pydantic import Field, field_validator, model_validator

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import ConfigError, FailureReason, McwatchError, MisconfiguredError
from mcwatch.domain.event import EVENT_ID_AT
from mcwatch.httpclient.client import ClientOptions, HttpClient, Response
from mcwatch.httpclient.statuses import error_for
from mcwatch.interfaces import Sink
from mcwatch.option_types import Duration, Secret, TlsConfig
from mcwatch.sinks.base import BaseSinkConfig, lines
from mcwatch.tls import TlsOptions

_THREAD_FROM_BYTES = 64 * 1024
"""Below this a batch is packed sooner than a thread is asked (about 0.5 ms)."""
_GZIP_LEVEL = 1  # JSON shrinks to a tenth at any level; higher ones cost several times the CPU
_ANSWER_BYTES = 64 * 1024
"""How much of an answer is read, so that its connection can be used again; the status alone decides."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a header name, RFC 9110 section 5.6.2
_OURS = frozenset({"content-length", "content-encoding", "transfer-encoding", "connection", "idempotency-key"})

Body = Literal["ndjson", "array"]
_CONTENT_TYPES: dict[Body, str] = {"ndjson": "application/x-ndjson", "array": "application/json"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. ``url`` holds no user or password: a user given in it comes as the header it stands for."""

    url: str = field(repr=False)
    method: str = "POST"
    headers: tuple[tuple[str, Secret], ...] = ()

    @property
    def peer(self) -> str:
        """The target as error texts name it: path and query may hold a token."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")

    @property
    def shows_credential(self) -> bool:
        """Whether an Authorization header would cross a network in the clear."""
        parts = urlsplit(self.url)
        authorized = any(name.lower() == "authorization" for name, _ in self.headers)
        return authorized and parts.scheme == "http" and not _is_loopback(parts.hostname or "")


@dataclass(frozen=True, slots=True)
class Request:
    """The body of one batch, ready to send."""

    body: bytes = field(repr=False)
    idempotency_key: str


def request_of(batch: Batch, body: Body, *, compressed: bool) -> Request:
    """Build the body; its key is the digest of the events' ids, so the same events have the same key."""
    plain = lines(batch.payloads) if body == "ndjson" else b"[" + b",".join(batch.payloads) + b"]"
    key = hashlib.sha256(b"".join([native[EVENT_ID_AT] for native in batch.native])).hexdigest()
    return Request(igzip.compress(plain, compresslevel=_GZIP_LEVEL, mtime=0) if compressed else plain, key)


class HttpSink:
    """Sends each batch as one request."""

    def __init__(
        self,
        target: Target,
        body: Body,
        *,
        compressed: bool,
        timeout_secs: float,
        proxy: Secret | None,
        tls: TlsOptions,
    ) -> None:
        self._target = target
        self._body = body
        self._compressed = compressed
        self._timeout_secs = timeout_secs
        self._proxy = proxy
        self._tls = tls
        self._client: HttpClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def deliver(self, batch: Batch) -> Verdicts:
        """Send the batch; any 2xx accepts all of it, any other answer none."""
        if not len(batch):
            return ALL_ACCEPTED
        size = sum(map(len, batch.payloads))
        if self._compressed and size > _THREAD_FROM_BYTES:
            request = await asyncio.to_thread(request_of, batch, self._body, compressed=True)
        else:
            request = request_of(batch, self._body, compressed=self._compressed)
        headers = {
            "Content-Type": _CONTENT_TYPES[self._body],
            "Idempotency-Key": request.idempotency_key,
            **({"Content-Encoding": "gzip"} if self._compressed else {}),
        }
        response = await self._send(self._target.method, headers, request.body)
        error = error_for(response, self._target.peer)
        if error:
            raise error
        return ALL_ACCEPTED

    async def check(self) -> str:
        """Ask for the options of the URL: shows that host, TLS and (where it is looked at) credential are right."""
        response = await self._send("OPTIONS", {}, None)
        error = error_for(response, self._target.peer)
        if error and error.reason is FailureReason.AUTH:
            raise error
        text = f"{self._target.peer} answers"
        if self._target.shows_credential:
            text += "; warning: the Authorization header crosses the network in the clear, use https"
        return text

    async def _send(self, method: str, headers: dict[str, str], body: bytes | None) -> Response:
        try:
            client = await self._opened()
            return await client.request(method, self._target.url, headers=self._with_own(headers), body=body)
        except ConfigError as error:  # a secret's file is gone
            raise MisconfiguredError(str(error), remedy="restore the file or correct its path") from error
        except McwatchError as error:
            if error.reason is FailureReason.TLS:  # so that exchanged certificate files are read again
                await self._close()
            raise

    def _with_own(self, headers: dict[str, str]) -> dict[str, str]:
        """Add the configured headers, revealed now, so that a changed secret file counts at once."""
        configured = {name: secret.reveal() for name, secret in self._target.headers}
        for name, value in configured.items():
            if not value.isprintable():
                raise MisconfiguredError(
                    f"the value of the header {name} holds a line break or another control character",
                    remedy=f"correct headers.{name} or the file it comes from",
                )
        taken = {name.lower() for name in configured}
        return {**{name: value for name, value in headers.items() if name.lower() not in taken}, **configured}

    async def _opened(self) -> HttpClient:
        """Return the client, opened at first use: files and secrets it lacks are an error of delivery, not of start."""
        if self._client is None:
            client = HttpClient(
                ClientOptions(
                    timeout_secs=self._timeout_secs,
                    connect_timeout_secs=min(self._timeout_secs, 10.0),
                    tls=self._tls,
                    proxy=self._proxy.reveal() if self._proxy else None,
                    max_body_bytes=_ANSWER_BYTES,
                    cut_body=True,
                )
            )
            self._client = await client.__aenter__()
        return self._client

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client:
            await client.__aexit__(None, None, None)


class HttpSinkConfig(BaseSinkConfig):
    """Any receiver that takes JSON over HTTP."""

    type: Literal["http"] = Field(description="A web hook: one request per batch, accepted with any 2xx.")
    url: str = Field(repr=False, description="Where to send: https://host[:port]/path. Redirects are never followed.")
    method: Literal["POST", "PUT"] = Field("POST", description="HTTP method. Default POST, what web hooks expect.")
    headers: dict[str, Secret] = Field(
        default_factory=dict,
        description="Headers added to each request; values are secrets, and read again when their file changes.",
    )
    body: Body = Field(
        "ndjson",
        description="ndjson (one event per line) or array (one JSON array). Default ndjson, readable as a stream.",
    )
    compression: Literal["gzip", "none"] = Field(
        "gzip", description="Packing of the body. Default gzip: JSON shrinks to about a tenth."
    )
    timeout: Duration = Field(30.0, gt=0, description="Seconds for a whole request. Default 30s.")
    proxy: Secret | None = Field(
        None,
        description="URL of an HTTP proxy, http://[user:password@]host:port. Default none; the environment is ignored.",
    )
    tls: TlsConfig = Field(default_factory=TlsConfig, description="TLS towards the receiver (https only).")

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = _split(url)
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("write the URL as https://host[:port]/path or http://…")
        if any(char.isspace() or not char.isprintable() for char in url):
            raise ValueError("the URL holds a space or a control character: write it percent-encoded")
        return url

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, Secret]) -> dict[str, Secret]:
        for name in headers:
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is no header name")
            if name.lower() in _OURS:
                raise ValueError(f"the header {name} is set by mcwatch itself")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("a header is given twice")
        return headers

    @model_validator(mode="after")
    def _check_credential(self) -> Self:
        if urlsplit(self.url).username and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("give the credential either in the URL or as an Authorization header")
        return self

    def build(self) -> Sink:
        """Return the sink."""
        parts = urlsplit(self.url)
        headers = dict(self.headers)
        if parts.username is not None:
            headers["Authorization"] = _basic(unquote(parts.username), unquote(parts.password or ""))
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return HttpSink(
            Target(bare, self.method, tuple(headers.items())),
            self.body,
            compressed=self.compression == "gzip",
            timeout_secs=self.timeout,
            proxy=self.proxy,
            tls=self.tls.build(),
        )


def _basic(user: str, password: str) -> Secret:
    return Secret("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii"))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port is None or parts.port else None
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
