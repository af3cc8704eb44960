"""Reaching a receiver that has several addresses."""

import asyncio
import socket
from pathlib import Path

import pytest

from mcwatch.domain.errors import MisconfiguredError, TransientError
from mcwatch.sinks.syslog.address import Address, SockAddress
from mcwatch.sinks.syslog.dialling import ClientTls, Dialler
from mcwatch.tls import TlsOptions

_FIRST, _SECOND = ("127.0.0.1", 1), ("127.0.0.1", 2)


@pytest.fixture(autouse=True)
def _two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every name have two addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", target) for target in (_FIRST, _SECOND)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)


async def test_the_next_address_is_tried_when_one_fails() -> None:
    """What the first address that answers gives is returned."""
    tried: list[object] = []

    async def attempt(address: SockAddress, _tls: ClientTls) -> str:
        tried.append(address[1])
        if address[1] == _FIRST:
            raise ConnectionRefusedError(111, "refused")
        return "there"

    assert await Dialler(Address("siem.example", 514), None, 1.0).reach(attempt) == "there"
    assert tried == [_FIRST, _SECOND]


async def test_one_that_hangs_leaves_time_for_the_next() -> None:
    """The time is shared out, and the last failure is what is told."""
    tried: list[object] = []

    async def attempt(address: SockAddress, _tls: ClientTls) -> None:
        tried.append(address[1])
        await asyncio.Event().wait()

    with pytest.raises(TransientError, match="in time"):
        await Dialler(Address("siem.example", 514), None, 0.1).reach(attempt)
    assert tried == [_FIRST, _SECOND]


async def test_tls_files_are_read_when_connecting() -> None:
    """A file that is not there takes the destination down, and no connection is tried."""

    async def attempt(_address: SockAddress, _tls: ClientTls) -> None:
        raise AssertionError

    with pytest.raises(MisconfiguredError, match="TLS files"):
        await Dialler(Address("siem.example", 514), TlsOptions(ca_file=Path("/nowhere/ca.pem")), 1.0).reach(attempt)
