"""The options of the syslog sink."""

from typing import Any

import pytest
from pydantic import ValidationError

from mcwatch.sinks.syslog import SyslogSinkConfig
from mcwatch.sinks.syslog.address import Address
from mcwatch.sinks.syslog.datagram import DatagramSink
from mcwatch.sinks.syslog.relp import RelpSink
from mcwatch.sinks.syslog.stream import StreamSink
from tests.contract.sink_events import numbered


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("siem.example:6514", Address("siem.example", 6514)),
        ("127.0.0.1:514", Address("127.0.0.1", 514)),
        ("[::1]:514", Address("::1", 514)),
        ("[fe80::1%eth0]:514", Address("fe80::1%eth0", 514)),
    ],
)
def test_addresses_are_read_and_written_alike(text: str, expected: Address) -> None:
    """Host, IPv4 and bracketed IPv6 addresses come back as they were."""
    assert Address.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "siem.example"}, "host:port"),
        ({"address": "::1:514"}, "host:port"),
        ({"address": "siem.example:0"}, "host:port"),
        ({"address": "tcp://siem.example:514"}, "host:port"),
        ({"transport": "tls", "framing": "lf"}, "RFC 5425"),
        ({"transport": "udp", "framing": "lf"}, "no framing"),
        ({"transport": "tcp", "tls": {"verify": False}}, "set transport: tls"),
        ({"transport": "relp", "framing": "lf"}, "frames of its own"),
        ({"severities": {"held": "loud"}}, "notice"),
        ({"enterprise_number": 0}, "greater"),
        ({"relp_window": 0}, "greater"),
        ({"transport": "udp", "max_message": "1MiB"}, "datagram"),
        ({"max_message": "2047"}, "2048"),
        ({"app_name": "two words"}, "pattern"),
        ({"facility": "local9"}, "local7"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], words: str) -> None:
    """Each wrong combination is named when the configuration is read."""
    with pytest.raises(ValidationError, match=words):
        SyslogSinkConfig.model_validate({"type": "syslog", "address": "siem.example:514"} | options)


@pytest.mark.parametrize(
    ("transport", "kind", "limit"),
    [("udp", DatagramSink, 2048), ("tcp", StreamSink, 8192), ("tls", StreamSink, 8192), ("relp", RelpSink, 8192)],
)
def test_the_longest_message_depends_on_the_transport(transport: str, kind: type, limit: int) -> None:
    """Datagrams are held to what every receiver takes, streams to what it should take."""
    config = SyslogSinkConfig.model_validate({"type": "syslog", "address": "siem.example:514", "transport": transport})
    sink = config.build()
    assert isinstance(sink, kind)
    assert sink._encoder.max_message_bytes == limit  # type: ignore[attr-defined]  # both have it


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"tls": {}}, True),
        ({"tls": {"ca_file": "ca.pem"}}, True),
    ],
)
def test_relp_is_encrypted_when_tls_is_written(options: dict[str, Any], expected: bool) -> None:
    """Any word of TLS beside relp turns it on, an empty one as well."""
    config = SyslogSinkConfig.model_validate(
        {"type": "syslog", "transport": "relp", "address": "siem.example:2514"} | options
    )
    sink = config.build()
    assert isinstance(sink, RelpSink)
    assert (sink._dialler.tls is not None) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, b'<133>1 2026-01-05T09:29:02.000Z h mcwatch - message.seen [mcwatch@32473 account="acme" '),
        (
            {"enterprise_number": 99, "facility": "mail"},
            b"<21>1 2026-01-05T09:29:02.000Z h mcwatch - message.seen [mcwatch@99 ",
        ),
        ({"structured_data": False, "severities": {}}, b"<134>1 2026-01-05T09:29:02.000Z h mcwatch - message.seen - {"),
    ],
)
def test_the_options_of_the_header(options: dict[str, Any], expected: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Facility, severity by status and structured data are what the options say."""
    monkeypatch.setattr("os.getpid", lambda: "-")
    config = SyslogSinkConfig.model_validate(
        {"type": "syslog", "transport": "udp", "address": "siem.example:514", "hostname": "h"} | options
    )
    sink = config.build()
    assert isinstance(sink, DatagramSink)
    assert sink._encoder.encode(numbered(1)).messages[0].startswith(expected)
