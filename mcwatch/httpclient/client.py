"""One other side spoken to over HTTP: a session with its limits, time-outs, TLS and proxy."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from mcwatch import __version__
from mcwatch.domain.errors import FailureReason, MisconfiguredError, TransientError
from mcwatch.httpclient.connections import KEEPALIVE_SECS, SharedConnections
from mcwatch.httpclient.tls_contexts import LiveContext
from mcwatch.httpclient.translate import Where, translated
from mcwatch.telemetry.liveness import resting
from mcwatch.tls import TlsOptions

_MIB = 2**20
_STREAMED_BYTES = 8 * _MIB
"""Larger bodies go as a file, piece by piece, so that writing them does not hold up the loop; that costs much more.

A smaller one is copied to the connection within a millisecond or two.
"""
_READ_BYTES = _MIB // 2  # at 64 KiB, its default, aiohttp pauses and resumes so often that a large answer costs twice


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How to reach the other side.

    Args:
        timeout_secs: for a whole request, from the wait for a free connection to the last byte of the answer.
        connect_timeout_secs: for TCP and the TLS handshake.
        tls: whom to trust, and the client certificate.
        proxy: URL of an HTTP proxy, with user and password where it wants them; environment variables are ignored.
        max_body_bytes: largest answer accepted, counted after decompression.
        cut_body: keep the beginning of a larger answer, or of one that breaks off, instead of failing: for receivers,
            whose status says whether they took the request, whatever becomes of their words.
        max_connections: connections open at a time; of shared ones, in use at a time.
        unix_socket: path of a Unix socket to use whatever host the URL names.
        repeats_stale: send a request again when a connection kept from an earlier one turns out to be closed. Whoever
            closed it may have taken the request: for requests that may come twice.
    """

    timeout_secs: float = 30.0
    connect_timeout_secs: float = 10.0
    tls: TlsOptions = field(default_factory=TlsOptions)
    proxy: str | None = field(default=None, repr=False)
    max_body_bytes: int = 64 * _MIB
    cut_body: bool = False
    max_connections: int = 8
    unix_socket: Path | None = None
    repeats_stale: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, complete unless ``ClientOptions.cut_body`` allows less; ``headers`` ignores case.

    ``received_at`` is set by whoever has a clock.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime | None = None


class _Whole(aiohttp.Payload):
    """A body written in one piece; aiohttp's own for bytes warns from 1 MiB on."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._body = body

    @property
    def size(self) -> int:
        """How many bytes are sent."""
        return len(self._body)

    @property
    def autoclose(self) -> bool:
        """Whether nothing needs to be closed."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return self._body.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body."""
        await writer.write(self._body)


class HttpClient:
    """A session with one other side. Connections are kept; redirects are never followed.

    Clients of ``shared`` connections take turns with them, within ``max_connections`` of each; ``cut_body`` is not for
    these. Entering raises MisconfiguredError when the TLS files or the proxy's URL cannot be used.
    """

    def __init__(self, options: ClientOptions, shared: SharedConnections | None = None) -> None:
        self._options = options
        self._shared = shared
        self._turns = asyncio.Semaphore(options.max_connections)
        self._session: aiohttp.ClientSession | None = None
        self._tls: LiveContext | None = None
        self._proxy: URL | None = None

    async def __aenter__(self) -> Self:
        options = self._options
        self._proxy = _proxy_url(options.proxy) if options.proxy else None
        self._tls = LiveContext(options.tls)
        self._session = aiohttp.ClientSession(
            connector=self._shared.connector if self._shared else self._connector(),
            connector_owner=self._shared is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=options.timeout_secs, sock_connect=options.connect_timeout_secs),
            headers={"User-Agent": f"mcwatch/{__version__}"},
            trust_env=False,
            read_bufsize=_READ_BYTES,
            trace_configs=[_connection_trace()] if options.repeats_stale else None,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()
            self._session = None

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """Send one request and read the answer, whatever its status.

        Raises TransientError (TIMEOUT, CONNECTION; BAD_RESPONSE, TOO_LARGE when the answer cannot be read),
        MisconfiguredError (the URL; TLS when the other side is not whom it should be) and AuthError (the proxy's).
        """
        target = _target_url(url)
        where = Where.of(target, self._proxy, self._options.unix_socket)
        try:
            with translated(where), resting("request", self._options.timeout_secs):
                async with self._turn():
                    return await self._exchange(method, target, headers, body, where)
        except MisconfiguredError as error:
            if error.reason is FailureReason.TLS and self._tls and self._tls.trouble:
                raise self._tls.trouble from error
            raise

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Hold one of the client's places among shared connections; its own ones the connector limits."""
        if self._shared is None:
            yield
            return
        async with asyncio.timeout(self._options.timeout_secs), self._turns:
            yield

    async def _exchange(
        self, method: str, target: URL, headers: Mapping[str, str] | None, body: bytes | None, where: Where
    ) -> Response:
        session, tls = self._session, self._tls
        if session is None or tls is None:
            raise RuntimeError("the HTTP client is used outside its context")
        while True:
            connection = _Connection()
            # Anew each time: sending closes it.
            data = None if body is None else io.BytesIO(body) if len(body) > _STREAMED_BYTES else _Whole(body)
            try:
                async with session.request(
                    method,
                    target,
                    headers=headers,
                    data=data,
                    allow_redirects=False,
                    proxy=self._proxy,
                    ssl=tls.get(),
                    trace_request_ctx=connection,
                ) as response:
                    connection.is_kept = False  # it answers
                    read = self._read_beginning(response) if self._options.cut_body else self._read(response, where)
                    return Response(response.status, response.headers, await read)
            except aiohttp.ClientConnectionError as error:
                # Ends, because that connection is gone from the pool, and a new one is no kept one.
                if not connection.is_kept or isinstance(error, TimeoutError) or session.closed:
                    raise

    def _connector(self) -> aiohttp.BaseConnector:
        limit = self._options.max_connections
        if self._options.unix_socket:
            return aiohttp.UnixConnector(str(self._options.unix_socket), limit=limit)
        return aiohttp.TCPConnector(limit=limit, keepalive_timeout=KEEPALIVE_SECS)

    async def _read(self, response: aiohttp.ClientResponse, where: Where) -> bytes:
        """Collect the body and stop at the limit; what is left unread goes with the connection."""
        limit = self._options.max_body_bytes
        chunks: list[bytes] = []
        size = 0
        if "Content-Encoding" not in response.headers:
            size = response.content_length or 0
        if size <= limit:
            size = 0
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > limit:
                    break
                chunks.append(chunk)
        if size > limit:
            response.close()
            raise TransientError(
                f"the answer of {where} is larger than {limit} bytes and was not read",
                reason=FailureReason.TOO_LARGE,
                remedy="ask for smaller pages, or raise the limit for answers",
            )
        return b"".join(chunks)

    async def _read_beginning(self, response: aiohttp.ClientResponse) -> bytes:
        """Collect up to the limit of what can be read."""
        limit = self._options.max_body_bytes
        body = bytearray()
        try:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > limit:
                    response.close()
                    break
        except (aiohttp.ClientError, OSError, ValueError):
            response.close()
        return bytes(body[:limit])


@dataclass(slots=True)
class _Connection:
    """Whether a request went out over a connection kept from an earlier one."""

    is_kept: bool = False


def _connection_trace() -> aiohttp.TraceConfig:
    async def kept(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.is_kept = True

    async def created(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.is_kept = False

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(kept)
    trace.on_connection_create_end.append(created)
    return trace


def _target_url(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError as error:
        raise MisconfiguredError("the URL cannot be read", remedy="write it as https://host[:port]/path") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise MisconfiguredError(
            "the URL is not one of a web server", remedy="write it as https://host[:port]/path or http://…"
        )
    return url


def _proxy_url(text: str) -> URL:
    """Read the proxy's URL; no word of it may show up in an error, for it may hold a password."""
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise MisconfiguredError(
            "the proxy is not given as a URL that can be used", remedy="write proxy as http://[user:password@]host:port"
        )
    return url
