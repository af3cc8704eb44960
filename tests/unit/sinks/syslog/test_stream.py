"""Syslog over TCP and TLS, where a connection is turned away."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from mcwatch.domain.errors import FailureReason, TransientError
from mcwatch.sinks.syslog import SyslogSinkConfig
from tests.contract.sink_events import numbered


async def test_a_relay_without_anybody_behind_it_accepts_nothing() -> None:
    """A connection that is accepted and closed takes no batch with it."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    config = SyslogSinkConfig.model_validate({"type": "syslog", "transport": "tcp", "address": address})
    async with server, config.build() as sink:
        with pytest.raises(TransientError, match="soon after it was opened") as failure:
            await sink.deliver(numbered(1))
    assert failure.value.reason is FailureReason.CONNECTION


async def test_a_missing_client_certificate_is_noticed_before_anything_counts_as_accepted(tmp_path: Path) -> None:
    """With TLS 1.3 the handshake is over here before the receiver looks; check and batch wait for that."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("localhost").configure_cert(context)
    received: list[bytes] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0, ssl=context)
    config = SyslogSinkConfig.model_validate(
        {
            "type": "syslog", "transport": "tls", "address": f"localhost:{server.sockets[0].getsockname()[1]}",
            "tls": {"ca_file": str(tmp_path / "ca.pem")},
        }
    )  # fmt: skip
    async with server, config.build() as sink:
        with pytest.raises(TransientError) as checked:
            await sink.check()
        with pytest.raises(TransientError) as delivered:
            await sink.deliver(numbered(1))
    assert ["client certificate" in failure.value.remedy for failure in (checked, delivered)] == [True, True]
    assert received == []
