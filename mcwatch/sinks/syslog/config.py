"""The options of the syslog sink."""

import os
import socket
from collections.abc import Callable
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mcwatch.interfaces import Sink
from mcwatch.option_types import Duration, Size, TlsConfig
from mcwatch.sinks.base import BaseSinkConfig
from mcwatch.sinks.syslog.address import Address
from mcwatch.sinks.syslog.datagram import DatagramSink
from mcwatch.sinks.syslog.encoder import Encoder
from mcwatch.sinks.syslog.rfc5424 import Facility, Origin, lf_framed, octet_counted
from mcwatch.sinks.syslog.stream import StreamSink

_STREAM_BYTES = 8 * 1024
_DATAGRAM_BYTES = 2 * 1024
_LARGEST_DATAGRAM_BYTES = 65_507  # 65,535 less the IPv4 and UDP headers

FacilityName = Literal[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip


class SyslogSinkConfig(BaseSinkConfig):
    """RFC 5424 messages to a syslog receiver."""

    type: Literal["syslog"] = Field(description="A syslog receiver: rsyslog, syslog-ng, or a SIEM's own.")
    address: str = Field(description="host:port of the receiver; an IPv6 address as [::1]:514.")
    transport: Literal["udp", "tcp", "tls"] = Field(
        "tcp",
        description="udp, tcp or tls. Default tcp, which every receiver has and which tells when it is gone; "
        "tls across any network you do not own.",
    )
    framing: Literal["octet_counting", "lf"] = Field(
        "octet_counting",
        description="What separates messages on tcp: octet_counting (RFC 6587 §3.4.1) or lf. Default octet_counting, "
        "which no content can break; tls allows nothing else (RFC 5425 §4.3); udp has no framing.",
    )
    tls: TlsConfig = Field(default_factory=TlsConfig, description="TLS towards the receiver (transport tls only).")
    facility: FacilityName = Field(
        "local0",
        description="Syslog facility. Default local0: `mail` would mix the events into the receiver's own mail log.",
    )
    app_name: str = Field("mcwatch", pattern=r"^[!-~]{1,48}$", description="APP-NAME. Default mcwatch.")
    hostname: str | None = Field(
        None, pattern=r"^[!-~]{1,255}$", description="HOSTNAME. Default the name of this machine."
    )
    max_message: Size | None = Field(
        None,
        ge=480,
        le=2**24,
        description="Bytes of the longest message, header included; a longer event is sent without its bulkiest fields "
        'and with "truncated": true. Default 8KiB (RFC 5425 §4.3.1 asks receivers to take it), 2KiB over udp '
        "(RFC 5424 §6.1).",
    )
    connect_timeout: Duration = Field(
        10.0, gt=0, description="Seconds for connecting and the TLS handshake. Default 10s."
    )
    send_timeout: Duration = Field(
        30.0, gt=0, description="Seconds for a batch to be sent and acknowledged by the receiver's kernel. Default 30s."
    )
    bom: bool = Field(
        False,
        description="Put a byte order mark before the message, as RFC 5424 §6.4 asks. Default false, a deviation: "
        "many JSON parsers fail on it.",
    )

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str) -> str:
        Address.parse(address)
        return address

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if self.transport == "tls" and self.framing == "lf":
            raise ValueError("transport tls needs framing octet_counting (RFC 5425 section 4.3): leave framing out")
        if self.transport == "udp" and self.framing == "lf":
            raise ValueError("transport udp has no framing, one datagram is one message: leave framing out")
        if self.transport != "tls" and self.tls != TlsConfig():
            raise ValueError(
                "tls has settings but transport is not tls: nothing would be encrypted; set transport: tls"
            )
        if self.transport == "udp" and (self.max_message or 0) > _LARGEST_DATAGRAM_BYTES:
            raise ValueError(f"max_message is more than the {_LARGEST_DATAGRAM_BYTES} bytes of a UDP datagram")
        return self

    def build(self) -> Sink:
        """Return the sink."""
        address = Address.parse(self.address)
        if self.transport == "udp":
            return DatagramSink(address, self._encoder(_DATAGRAM_BYTES), send_timeout_secs=self.send_timeout)
        return StreamSink(
            address,
            self._encoder(_STREAM_BYTES),
            self.tls.build() if self.transport == "tls" else None,
            connect_timeout_secs=self.connect_timeout,
            send_timeout_secs=self.send_timeout,
        )

    def _encoder(self, default_bytes: int) -> Encoder:
        origin = Origin(
            Facility[self.facility.upper()], self.hostname or socket.gethostname(), self.app_name, str(os.getpid())
        )
        return Encoder(origin, self.max_message or default_bytes, self._frame(), self.bom)

    def _frame(self) -> Callable[[bytes], bytes]:
        if self.transport == "udp":
            return bytes
        return lf_framed if self.framing == "lf" else octet_counted
