"""A real rsyslogd on a loopback port, with a configuration and a directory of its own."""

import asyncio
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import trustme

_LOOK_SECS = 0.02
_FIELDS = re.compile(
    r"(?P<pri>\d+)\|(?P<time>[^|]+)\|(?P<host>[^|]+)\|(?P<app>[^|]+)\|(?P<procid>[^|]+)\|(?P<msgid>[^|]+)"
    r"\|(?P<data>[^|]+)\|(?P<msg>.*)",
    re.DOTALL,
)
_COMMON = """
global(workDirectory="{directory}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off" {tls_files})
main_queue(queue.type="direct")
template(name="all" type="string"
  string="%pri%|%timereported:::date-rfc3339%|%hostname%|%app-name%|%procid%|%msgid%|%structured-data%|%msg%\\n")
ruleset(name="keep") {{ action(type="omfile" file="{output}" template="all") }}
"""
_INPUTS = {
    "udp": 'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{port}" ruleset="keep" rcvbufSize="4m")',
    "tcp": 'module(load="imtcp")\ninput(type="imtcp" address="127.0.0.1" port="{port}" ruleset="keep")',
    "tls": 'module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")\n'
    'input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="keep")',
}
Transport = Literal["udp", "tcp", "tls"]


@dataclass(frozen=True)
class Message:
    """A message as rsyslogd understood it."""

    pri: str
    time: str
    host: str
    app: str
    procid: str
    msgid: str
    data: str
    msg: str


class Rsyslog:
    """One rsyslogd; ``program`` is its path."""

    def __init__(self, program: Path, directory: Path, transport: Transport, port: int) -> None:
        self._program = program
        self._directory = directory
        self._transport = transport
        self._port = port
        self._output = directory / "received"
        self._process: asyncio.subprocess.Process | None = None
        self.ca_file = directory / "ca.pem"
        tls_files = self._write_certificates() if transport == "tls" else ""
        text = _COMMON.format(directory=directory, output=self._output, tls_files=tls_files)
        (directory / "rsyslog.conf").write_text(text + _INPUTS[transport].format(port=port) + "\n")

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

    def freeze(self) -> None:
        """Let it hold its connections and do nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def messages(self) -> list[Message]:
        """Return what it has written."""
        lines = self._output.read_text("utf-8").split("\n")[:-1] if self._output.exists() else []
        found = [_FIELDS.fullmatch(line) for line in lines]
        assert None not in found, "a line that is no message"
        return [Message(**match.groupdict()) for match in found if match]

    async def received(self, count: int) -> list[Message]:
        """Wait until it has written ``count`` messages."""
        while len(messages := self.messages()) < count:  # noqa: ASYNC110 - another process writes the file
            await asyncio.sleep(_LOOK_SECS)
        return messages

    def _is_open(self) -> bool:
        table = Path("/proc/net/udp" if self._transport == "udp" else "/proc/net/tcp").read_text("ascii")
        state = "07" if self._transport == "udp" else "0A"
        return re.search(rf"0100007F:{self._port:04X} 00000000:0000 {state}", table) is not None

    def _write_certificates(self) -> str:
        authority = trustme.CA()
        server = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(self.ca_file)
        certificate, key = self._directory / "server.pem", self._directory / "server.key"
        certificate.write_bytes(b"".join(part.bytes() for part in server.cert_chain_pems))
        server.private_key_pem.write_to_path(key)
        return (
            f'defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{self.ca_file}" '
            f'defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}"'
        )
