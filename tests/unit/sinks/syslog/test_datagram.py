"""Syslog over UDP."""

import socket

import pytest

from mcwatch.domain.errors import FailureReason, TransientError
from mcwatch.sinks.syslog import SyslogSinkConfig
from mcwatch.sinks.syslog.address import Address
from mcwatch.sinks.syslog.datagram import DatagramSink
from mcwatch.sinks.syslog.encoder import Encoder
from mcwatch.sinks.syslog.rfc5424 import Facility, Header, Origin
from tests.contract.sink_events import batch_of, event, numbered
from tests.fakes.http_server import free_port


async def test_what_no_datagram_holds_is_refused_alone() -> None:
    """A message that the kernel finds too long is refused by its index; its neighbours arrive."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        encoder = Encoder(Header(Origin(Facility.LOCAL0, "h", "a", "1"), {}, None), 2**20, bytes)
        address = Address("127.0.0.1", receiver.getsockname()[1])
        async with DatagramSink(address, encoder, send_timeout_secs=1) as sink:
            verdicts = await sink.deliver(batch_of(event(0), event(1, "x" * 70_000), event(2)))
        received = [receiver.recv(65536) for _ in range(2)]
    assert {index: refusal.reason for index, refusal in verdicts.refused.items()} == {1: FailureReason.TOO_LARGE}
    assert [event(0) in received[0], event(2) in received[1]] == [True, True]


async def test_a_closed_port_is_heard_of_every_time() -> None:
    """While nobody listens no batch is taken for accepted, however often it is tried."""
    config = SyslogSinkConfig.model_validate(
        {"type": "syslog", "transport": "udp", "address": f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"}
    )
    async with config.build() as sink:
        for _ in range(4):
            with pytest.raises(TransientError, match=r"nobody listens|refused"):
                await sink.deliver(numbered(1))
