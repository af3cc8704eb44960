"""A real rsyslogd on a loopback port, with a configuration and a directory of its own."""

import asyncio
import json
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import trustme

from mcwatch.interfaces import Sink
from mcwatch.sinks.syslog import SyslogSinkConfig
from tests.fakes.http_server import free_port

_LOOK_SECS = 0.02
_CLIENT = "mcwatch.example"
_PLUGINS = (
    Path("/usr/lib/x86_64-linux-gnu/rsyslog"),
    Path("/usr/lib/aarch64-linux-gnu/rsyslog"),
    Path("/usr/lib/rsyslog"),
)
# Rsyslog itself takes the structured data apart, and writes everything as JSON, so that no content can forge a field.
_COMMON = """
global(workDirectory="{directory}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off" {tls_files})
module(load="mmpstrucdata")
main_queue(queue.type="direct")
template(name="all" type="list" option.jsonf="on") {{
  property(outname="pri" name="pri" format="jsonf")
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="procid" name="procid" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="parsed" name="$!rfc5424-sd" format="jsonf")
  property(outname="msg" name="msg" format="jsonf")
}}
ruleset(name="keep") {{
  action(type="mmpstrucdata")
  action(type="omfile" file="{output}" template="all")
}}
"""
_UDP = 'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{port}" ruleset="keep" rcvbufSize="4m")'
_TCP = 'module(load="imtcp")\ninput(type="imtcp" address="127.0.0.1" port="{port}" ruleset="keep")'
_TLS = """
module(load="imtcp" streamDriver.name="{driver}" streamDriver.mode="1" streamDriver.authMode="{auth}" {peer})
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="keep")
"""
_RELP = 'module(load="imrelp" {module})\ninput(type="imrelp" address="127.0.0.1" port="{port}" ruleset="keep" {tls})'
Transport = Literal["udp", "tcp", "tls", "relp", "relp+tls"]


@dataclass(frozen=True)
class Message:
    """A message as rsyslogd understood it; ``parsed`` is its structured data by element."""

    pri: str
    severity: str
    time: str
    host: str
    app: str
    procid: str
    msgid: str
    data: str
    parsed: dict[str, Any]
    msg: str


@dataclass(frozen=True)
class Receiver:
    """What kind of rsyslogd is wanted; ``client_auth`` demands the certificate of :meth:`Rsyslog.client_tls`."""

    transport: Transport
    driver: Literal["gtls", "ossl"] = "gtls"
    client_auth: bool = False

    @property
    def modules(self) -> list[str]:
        """The plug-ins that must be installed."""
        drivers = [f"lmnsd_{self.driver}"] if self.transport == "tls" else []
        return drivers + (["imrelp"] if self.transport.startswith("relp") else [])


class Rsyslog:
    """One rsyslogd; ``program`` is its path."""

    def __init__(self, program: Path, directory: Path, receiver: Receiver) -> None:
        port = free_port(socket.SOCK_DGRAM if receiver.transport == "udp" else socket.SOCK_STREAM)
        self._program = program
        self._directory = directory
        self.receiver = receiver
        self._port = port
        self.address = f"{'localhost' if receiver.transport.endswith('tls') else '127.0.0.1'}:{port}"
        self._output = directory / "received"
        self._process: asyncio.subprocess.Process | None = None
        self._authority = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca_file)
        (directory / "rsyslog.conf").write_text(self._configuration())

    @property
    def tls(self) -> dict[str, str]:
        """The options of a client that trusts it and has no certificate."""
        return {"ca_file": str(self.ca_file)}

    def client_tls(self, name: str = _CLIENT, authority: trustme.CA | None = None) -> dict[str, str]:
        """Return the options of a client with a certificate, which it accepts when left as they are."""
        certificate, key = self._write_certificate("client", name, authority or self._authority)
        return self.tls | {"cert_file": str(certificate), "key_file": str(key)}

    async def start(self) -> None:
        """Start it and wait until its port is open."""
        (self._directory / "pid").unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            self._program, "-n", "-f", self._directory / "rsyslog.conf", "-i", self._directory / "pid",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        while not self._is_open():
            assert self._process.returncode is None, "rsyslogd ended"
            await asyncio.sleep(_LOOK_SECS)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for its end."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()

    async def freeze(self) -> None:
        """Let it hold its connections and do nothing; wait until each of its threads stands."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self._process.pid}/task")
        while any(" T " not in (task / "stat").read_text("ascii") for task in tasks.iterdir()):  # noqa: ASYNC110 - as above
            await asyncio.sleep(_LOOK_SECS)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def messages(self) -> list[Message]:
        """Return what it has written, but for the half lines that a kill has left."""
        lines = self._output.read_bytes().split(b"\n")[:-1] if self._output.exists() else []
        # What follows half a line stands in the same line. Within a record the quotes of these signs are escaped.
        return [_message(json.loads(line[line.rindex(b'{"pri":') :])) for line in lines]

    async def received(self, count: int) -> list[Message]:
        """Wait until it has written ``count`` messages."""
        while len(messages := self.messages()) < count:  # noqa: ASYNC110 - another process writes the file
            await asyncio.sleep(_LOOK_SECS)
        return messages

    async def grown(self, size_bytes: int) -> None:
        """Wait until it has written so much more."""
        before_bytes = self._written_bytes()
        while self._written_bytes() < before_bytes + size_bytes:  # noqa: ASYNC110 - another process writes the file
            await asyncio.sleep(0.001)

    async def until_complete(self, numbers: set[int]) -> list[Message]:
        """Wait until it has written every event of :mod:`tests.contract.sink_events` at least once."""
        count = 0
        while True:
            messages = await self.received(count)
            if {int(json.loads(message.msg)["event_id"], 16) for message in messages} >= numbers:
                return messages
            count = len(messages) + 1

    def _written_bytes(self) -> int:
        return self._output.stat().st_size if self._output.exists() else 0

    def _is_open(self) -> bool:
        udp = self.receiver.transport == "udp"
        table = Path("/proc/net/udp" if udp else "/proc/net/tcp").read_text("ascii")
        return re.search(rf"0100007F:{self._port:04X} 00000000:0000 {'07' if udp else '0A'}", table) is not None

    def _configuration(self) -> str:
        wants = self.receiver
        certificate, key = self._write_certificate("server", "localhost", self._authority)
        tls_files, relp_module, relp_tls = "", "", ""
        if wants.transport == "tls":
            tls_files = (
                f'defaultNetstreamDriver="{wants.driver}" defaultNetstreamDriverCAFile="{self.ca_file}" '
                f'defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}"'
            )
        if wants.transport == "relp+tls":
            library = {"gtls": "gnutls", "ossl": "openssl"}[wants.driver]
            relp_module = f'tls.tlslib="{library}"'
            relp_tls = f'tls="on" tls.caCert="{self.ca_file}" tls.myCert="{certificate}" tls.myPrivKey="{key}"'
            relp_tls += f' tls.authMode="name" tls.permittedPeer=["{_CLIENT}"]' if wants.client_auth else ""
        inputs = {"udp": _UDP, "tcp": _TCP, "tls": _TLS, "relp": _RELP, "relp+tls": _RELP}[wants.transport]
        text = _COMMON.format(directory=self._directory, output=self._output, tls_files=tls_files)
        return (
            text
            + inputs.format(
                port=self._port,
                driver=wants.driver,
                auth="x509/name" if wants.client_auth else "anon",
                peer=f'permittedPeer=["{_CLIENT}"]' if wants.client_auth else "",
                module=relp_module,
                tls=relp_tls,
            )
            + "\n"
        )

    def _write_certificate(self, role: str, name: str, authority: trustme.CA) -> tuple[Path, Path]:
        issued = authority.issue_cert(name)
        certificate, key = self._directory / f"{role}.pem", self._directory / f"{role}.key"
        certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return certificate, key


@asynccontextmanager
async def rsyslogd(
    require_program: Callable[[str], Path], directory: Path, receiver: Receiver
) -> AsyncIterator[Rsyslog]:
    """Run one; without it or one of its plug-ins the test is skipped."""
    require_modules(receiver.modules)
    rsyslog = Rsyslog(require_program("rsyslogd"), directory, receiver)
    try:
        await rsyslog.start()
        yield rsyslog
    finally:
        await rsyslog.stop(signal.SIGKILL)


@asynccontextmanager
async def sink_to(rsyslog: Rsyslog, **options: Any) -> AsyncIterator[Sink]:  # noqa: ANN401 - as written in YAML
    """Give a sink with the options that fit the receiver, and those given."""
    transport = rsyslog.receiver.transport
    defaults: dict[str, Any] = {
        "type": "syslog", "address": rsyslog.address, "transport": transport.removesuffix("+tls"),
        "max_message": "32KiB", "send_timeout": "2s",
    }  # fmt: skip
    if transport.endswith("tls") and "tls" not in options:
        defaults["tls"] = rsyslog.client_tls() if rsyslog.receiver.client_auth else rsyslog.tls
    async with SyslogSinkConfig.model_validate(defaults | options).build() as sink:
        yield sink


def require_modules(names: list[str]) -> None:
    """Skip the test where rsyslogd lacks a plug-in, or fail it where components are required."""
    for name in names:
        if not any((directory / f"{name}.so").exists() for directory in _PLUGINS):
            text = f"rsyslogd has no {name} (tests/system-packages.txt)"
            if os.environ.get("MCWATCH_REQUIRE_COMPONENTS"):
                pytest.fail(text)
            pytest.skip(text)


def _message(fields: dict[str, Any]) -> Message:
    return Message(**fields | {"parsed": json.loads(fields["parsed"] or "{}")})
