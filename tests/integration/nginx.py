"""A real nginx before a receiver: it terminates TLS on a loopback port, with a configuration of its own."""

import asyncio
import gzip
import json
import signal
import socket
from pathlib import Path

import trustme
from aiohttp import web

from tests.fakes.http_server import HttpServer, free_port

_LOOK_SECS = 0.01
_CONFIG = """
daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  client_max_body_size 64m;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {directory}/server.pem;
    ssl_certificate_key {directory}/server.key;
    ssl_client_certificate {directory}/ca.pem;
    {server}
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      {location}
    }}
  }}
  server {{
    listen 127.0.0.1:{plain_port};
    return 301 https://localhost:{port}$request_uri;
  }}
}}
"""


class Nginx:
    """One nginx; ``program`` is its path, ``upstream`` the port it passes requests on to."""

    def __init__(self, program: Path, directory: Path, upstream: int) -> None:
        self._program = program
        self._directory = directory
        self._upstream = upstream
        self._port, self._plain_port = free_port(), free_port()
        self._process: asyncio.subprocess.Process | None = None
        self.authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.ca_file = directory / "ca.pem"
        self._write_certificates()

    @property
    def url(self) -> str:
        """Where it speaks TLS."""
        return f"https://localhost:{self._port}/in"

    @property
    def plain_url(self) -> str:
        """Where it does nothing but redirect to ``url``."""
        return f"http://localhost:{self._plain_port}/in"

    @property
    def plain_to_tls_url(self) -> str:
        """Its TLS port, spoken to without."""
        return f"http://localhost:{self._port}/in"

    async def start(self, *, server: str = "", location: str = "") -> None:
        """Start it, anew if it runs, with these directives added, and wait until its ports are open."""
        await self.stop()
        text = _CONFIG.format(
            directory=self._directory, port=self._port, plain_port=self._plain_port, upstream=self._upstream,
            server=server, location=location,
        )  # fmt: skip
        (self._directory / "nginx.conf").write_text(text)
        self._process = await asyncio.create_subprocess_exec(
            self._program, "-p", self._directory, "-c", self._directory / "nginx.conf",
            "-e", self._directory / "error.log",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        while not (_is_open(self._port) and _is_open(self._plain_port)):
            assert self._process.returncode is None, (self._directory / "error.log").read_text()
            await asyncio.sleep(_LOOK_SECS)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for its end."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()

    def _write_certificates(self) -> None:
        identity = self.authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
        self.authority.cert_pem.write_to_path(self.ca_file)
        (self._directory / "server.pem").write_bytes(b"".join(part.bytes() for part in identity.cert_chain_pems))
        identity.private_key_pem.write_to_path(self._directory / "server.key")


class Upstream(HttpServer):
    """The receiver behind the proxy: keeps every event that it accepts, and every request as it came."""

    def __init__(self) -> None:
        super().__init__(self._take, free_port(), unpacks=False, patience_secs=0)
        self.accepted: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.arrived = asyncio.Event()
        self.delay_secs = 0.0
        self.answers = asyncio.Event()
        self.answers.set()

    async def stop(self) -> None:
        """Go away."""
        self.answers.set()
        await super().stop()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.headers.append(dict(request.headers))
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.accepted += [int(json.loads(line)["event_id"], 16) for line in body.splitlines()]
        self.arrived.set()
        await self.answers.wait()
        await asyncio.sleep(self.delay_secs)
        return web.Response(status=202)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
