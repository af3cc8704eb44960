"""The receiver of deploy/rsyslog in the real rsyslogd, with mcwatch's sink configured as docs/siem/rsyslog.md shows."""

import asyncio
import json
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import trustme
import yaml

from mcwatch.domain.delivery import ALL_ACCEPTED
from mcwatch.interfaces import Sink
from mcwatch.sinks.syslog import SyslogSinkConfig
from tests.acceptance.waiting import eventually
from tests.contract.sink_events import HOSTILE_SUBJECTS, batch_of, event, event_document
from tests.fakes.http_server import free_port
from tests.integration.rsyslog import require_modules

_ROOT: Final = Path(__file__).parents[2]
_RECIPE: Final = _ROOT / "deploy" / "rsyslog"
_CLIENT: Final = "mcwatch.example"
_TRANSPORTS: Final = {"relp": ["imrelp"], "tls": ["lmnsd_gtls"], "tcp": list[str]()}
_LIMIT_BYTES: Final = 60 * 1024
_Require = Callable[[str], Path]


def _shown_sinks() -> dict[str, dict[str, Any]]:
    """Return the sinks of the page, by transport."""
    text = (_ROOT / "docs" / "siem" / "rsyslog.md").read_text("utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    sinks = [destination["sink"] for block in blocks for destination in yaml.safe_load(block)["destinations"]]
    return {sink["transport"]: sink for sink in sinks}


@dataclass(frozen=True)
class _Receiver:
    """An rsyslogd with the recipe's files, moved into a directory of its own."""

    program: Path
    directory: Path
    transport: str
    port: int

    @property
    def logs(self) -> Path:
        return self.directory / "log"

    @property
    def configuration(self) -> Path:
        return self.directory / "rsyslog.conf"

    def write(self) -> None:
        """Write the certificates, and the recipe with the paths and the port of this test."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.directory / "ca.pem")
        for role, name in {"server": "localhost", "client": _CLIENT}.items():
            issued = authority.issue_cert(name)
            chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
            (self.directory / f"{role}.pem").write_bytes(chain)
            issued.private_key_pem.write_to_path(self.directory / f"{role}.key")
        parts = [
            (_RECIPE / name).read_text("utf-8") for name in ("10-mcwatch.conf", f"20-mcwatch-{self.transport}.conf")
        ]
        text = "\n".join(parts)
        for old, new in {
            "/var/log/mcwatch": str(self.logs),
            "/etc/rsyslog.d/mcwatch": str(self.directory),
            '"6514"': f'"{self.port}"',
        }.items():
            assert old in text or (old.startswith("/etc") and self.transport == "tcp")
            text = text.replace(old, new)
        self.configuration.write_text(f'global(workDirectory="{self.directory}")\n{text}', "utf-8")

    def check(self) -> subprocess.CompletedProcess[str]:
        """Let rsyslogd read the files and end."""
        command = [str(self.program), "-N1", "-f", str(self.configuration)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def rotate(self, logrotate: Path) -> None:
        """Rotate the files as the recipe says, whatever their age."""
        text = (_RECIPE / "mcwatch.logrotate").read_text("utf-8")
        for old, new in {
            "/var/log/mcwatch": str(self.logs),
            # Debian's script asks systemd to do the same.
            "/usr/lib/rsyslog/rsyslog-rotate": f"kill -HUP $(cat {self.directory / 'pid'})",
        }.items():
            assert old in text
            text = text.replace(old, new)
        path = self.directory / "logrotate.conf"
        path.write_text(text, "utf-8")
        # Under root it refuses configuration that others may write to.
        path.chmod(0o600)
        state = self.directory / "logrotate.state"
        subprocess.run([logrotate, "--force", "--state", state, path], check=True, capture_output=True, timeout=30)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it."""
        process = await asyncio.create_subprocess_exec(
            self.program, "-n", "-f", self.configuration, "-i", self.directory / "pid",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await eventually(self._is_open)
            yield
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()

    def _is_open(self) -> bool:
        tables = [Path("/proc/net") / name for name in ("tcp", "tcp6")]
        text = "".join(table.read_text("ascii") for table in tables if table.exists())
        return re.search(rf":{self.port:04X} 0+:0000 0A", text) is not None

    def sink(self) -> Sink:
        """Return the page's sink for this transport, sent here."""
        options = dict(_shown_sinks()[self.transport])
        host = "127.0.0.1" if self.transport == "tcp" else "localhost"
        options |= {"address": f"{host}:{self.port}"}
        if "tls" in options:
            options["tls"] = {key: str(self.directory / Path(path).name) for key, path in options["tls"].items()}
        return SyslogSinkConfig.model_validate(options).build()

    def lines(self, name: str) -> list[bytes]:
        """Return the complete lines of a file."""
        path = self.logs / name
        return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


@pytest.fixture(params=_TRANSPORTS)
def receiver(request: pytest.FixtureRequest, require_program: _Require, tmp_path: Path) -> _Receiver:
    """One receiver for each of the recipe's transports."""
    require_modules(_TRANSPORTS[request.param])
    found = _Receiver(require_program("rsyslogd"), tmp_path, request.param, free_port())
    found.write()
    return found


def _of(account: str, number: int) -> bytes:
    return msgspec.json.encode(event_document(number) | {"account": account})


def _long(number: int) -> bytes:
    """Return an event that fills the longest message nearly."""
    return event(number, "é" * ((_LIMIT_BYTES - 1500) // 2))


def test_rsyslogd_accepts_the_files(receiver: _Receiver) -> None:
    """Its own check ends with 0 and not one warning."""
    checked = receiver.check()
    assert (0, []) == (checked.returncode, re.findall(r".*(?:error|warning).*", checked.stderr))


async def test_each_account_has_a_file_of_its_events(receiver: _Receiver) -> None:
    """Every event is a line of its account's file, as sent, in order; no name leads out of the directory."""
    own = [event(number, subject) for number, subject in enumerate(HOSTILE_SUBJECTS)] + [_long(99)]
    own += [event(number) for number in range(1000, 1400)]
    escaping = [_of("../../escape", 5001), _of("a/b", 5002)]
    async with receiver.running(), receiver.sink() as sink:
        assert await sink.check()
        for batch in (batch_of(*own), batch_of(*(_of("other", number) for number in range(50))), batch_of(*escaping)):
            assert ALL_ACCEPTED == await sink.deliver(batch)
        await eventually(
            lambda: sum(len(receiver.lines(path.name)) for path in receiver.logs.iterdir()) >= len(own) + 52
        )
    assert own == receiver.lines("acme.ndjson")
    assert [_of("other", number) for number in range(50)] == receiver.lines("other.ndjson")
    assert all(path.parent == receiver.logs for path in receiver.directory.rglob("*.ndjson"))
    assert [
        json.loads(line)["account"] for path in receiver.logs.glob("*b.ndjson") for line in receiver.lines(path.name)
    ]


async def test_rotation_loses_no_line(receiver: _Receiver, require_program: _Require) -> None:
    """With logrotate between two batches, old file and new hold every event, each once."""
    logrotate = require_program("logrotate")
    batches = [batch_of(*(event(number) for number in range(start, start + 100))) for start in (0, 100)]
    async with receiver.running(), receiver.sink() as sink:
        assert ALL_ACCEPTED == await sink.deliver(batches[0])
        await eventually(lambda: len(receiver.lines("acme.ndjson")) == 100)
        await asyncio.to_thread(receiver.rotate, logrotate)
        assert ALL_ACCEPTED == await sink.deliver(batches[1])
        await eventually(lambda: sum(len(receiver.lines(f"acme.ndjson{end}")) for end in ("", ".1")) == 200)
    assert [event(number) for number in range(200)] == receiver.lines("acme.ndjson.1") + receiver.lines("acme.ndjson")
