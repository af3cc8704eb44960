"""TLS and passwords against a server that insists on them: Debian's, for the wheel's is built without TLS."""

import traceback
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import trustme

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.store.postgres import PostgresOptions
from mcwatch.store.postgres.connection import connect
from mcwatch.store.postgres.errors import StoreRefused
from tests.fakes.postgres import PostgresServer, debian_programs
from tests.integration.postgres.replicas import account, append, replica

_PASSWORD = "hunter2-geheim"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Give who signs the server's certificate."""
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Iterator[PostgresServer]:
    """Give a server that lets the user ``guarded`` in over TLS and with a password only."""
    issued = authority.issue_cert("localhost")
    files = {
        "server.crt": b"".join(blob.bytes() for blob in issued.cert_chain_pems),
        "server.key": issued.private_key_pem.bytes(),
    }
    access = "hostssl all guarded 127.0.0.1/32 scram-sha-256\nhost all guarded 127.0.0.1/32 reject"
    with PostgresServer(settings={"ssl": "on"}, access=access, files=files, programs=debian_programs()) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{_PASSWORD}'".encode())
            connection.execute("GRANT CREATE ON SCHEMA public TO guarded")
        yield server


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """Give the authority's certificate as a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def _url(server: PostgresServer, ca_file: Path, host: str = "localhost", password: str = _PASSWORD) -> str:
    return (
        f"postgresql://guarded:{password}@{host}:{server.port}/postgres"
        f"?sslmode=verify-full&sslrootcert={ca_file}"
    )  # fmt: skip


async def test_store_over_tls(server: PostgresServer, ca_file: Path) -> None:
    """With sslmode=verify-full everything goes over TLS to the server whose certificate fits."""
    async with replica(_url(server, ca_file)) as store:
        assert 0 == await append(store, await account(store))
        with psycopg.connect(server.url()) as connection:
            rows = connection.execute(
                "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'guarded'"
            ).fetchall()

    assert [(True,)] * 7 == rows


def _refusal(url: str) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as caught:
        connect(PostgresOptions(url=lambda: url, replica_name="a"))
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.remedy
    assert _PASSWORD not in shown
    assert "wrong-word" not in shown
    return caught.value


def test_certificate_of_another_name_is_refused(server: PostgresServer, ca_file: Path) -> None:
    """A certificate that does not name the host ends the connection, and the remedy names sslmode and sslrootcert."""
    error = _refusal(_url(server, ca_file, host="127.0.0.1"))

    assert "TLS" in str(error)
    assert "sslrootcert" in error.remedy


def test_certificate_of_an_unknown_authority_is_refused(server: PostgresServer, tmp_path: Path) -> None:
    """A certificate that nobody known has signed ends the connection."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)

    assert "TLS" in str(_refusal(_url(server, other)))


def test_wrong_password_is_refused_and_not_shown(server: PostgresServer, ca_file: Path) -> None:
    """A wrong password is a refusal with store.url in its remedy; neither password stands in the error."""
    error = _refusal(_url(server, ca_file, password="wrong-word"))

    assert isinstance(error, StoreRefused)
    assert "store.url" in error.remedy


def test_server_that_insists_on_tls_is_named_as_refusing(server: PostgresServer) -> None:
    """Without TLS the server's refusal is told."""
    error = _refusal(f"postgresql://guarded:{_PASSWORD}@127.0.0.1:{server.port}/postgres?sslmode=disable")

    assert isinstance(error, StoreRefused)


async def test_password_may_change_while_the_store_runs(server: PostgresServer, ca_file: Path) -> None:
    """A connection made anew takes the URL as it is then."""
    url = [_url(server, ca_file)]
    options = PostgresOptions(url=lambda: url[0], replica_name="a")
    connect(options).connection.close()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("ALTER ROLE guarded PASSWORD 'another'")
        url[0] = _url(server, ca_file, password="another")
        try:
            connect(options).connection.close()
        finally:
            connection.execute(f"ALTER ROLE guarded PASSWORD '{_PASSWORD}'".encode())
