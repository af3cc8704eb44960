"""The options of the syslog sink."""

import os
import socket
from collections.abc import Callable, Set
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from mcwatch.interfaces import Sink
from mcwatch.option_types import Duration, Size, TlsConfig
from mcwatch.sinks.base import BaseSinkConfig
from mcwatch.sinks.syslog.address import Address
from mcwatch.sinks.syslog.datagram import DatagramSink
from mcwatch.sinks.syslog.dialling import Dialler
from mcwatch.sinks.syslog.encoder import Encoder
from mcwatch.sinks.syslog.relp import RelpSink
from mcwatch.sinks.syslog.rfc5424 import (
    EXAMPLE_ENTERPRISE,
    Facility,
    Header,
    Origin,
    Severity,
    lf_framed,
    octet_counted,
)
from mcwatch.sinks.syslog.stream import StreamSink

_STREAM_BYTES = 8 * 1024
_DATAGRAM_BYTES = 2 * 1024
_LEAST_BYTES = 2 * 1024  # a bare OCSF event with an id of 300 characters behind the longest header has 1.5 KiB
_LARGEST_DATAGRAM_BYTES = 65_507  # 65,535 less the IPv4 and UDP headers

_NO_LF = {
    "tls": "transport tls needs framing octet_counting (RFC 5425 section 4.3): leave framing out",
    "udp": "transport udp has no framing, one datagram is one message: leave framing out",
    "relp": "transport relp has frames of its own: leave framing out",
}

FacilityName = Literal[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip
SeverityName = Literal["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]


class SyslogSinkConfig(BaseSinkConfig):
    """RFC 5424 messages to a syslog receiver."""

    type: Literal["syslog"] = Field(description="A syslog receiver: rsyslog, syslog-ng, or a SIEM's own.")
    address: str = Field(description="host:port of the receiver; an IPv6 address as [::1]:514.")
    transport: Literal["udp", "tcp", "tls", "relp"] = Field(
        "tcp",
        description="udp, tcp, tls or relp. Default tcp, which every receiver has and which tells when it is gone; "
        "tls across any network you do not own; relp (rsyslog's imrelp) where nothing may be missing, because its "
        "receiver answers for every message.",
    )
    framing: Literal["octet_counting", "lf"] = Field(
        "octet_counting",
        description="What separates messages on tcp: octet_counting (RFC 6587 §3.4.1) or lf. Default octet_counting, "
        "which no content can break; tls allows nothing else (RFC 5425 §4.3); udp has none, relp its own.",
    )
    tls: TlsConfig = Field(
        default_factory=TlsConfig,
        description="TLS towards the receiver. With transport tls always; with relp when it is written here, be it "
        "as `tls: {}`.",
    )
    relp_window: int = Field(
        128,
        ge=1,
        le=10_000,
        description="Messages under way without an answer (transport relp). Default 128, which hides the delay of a "
        "wide-area line; at most so many come twice when a connection breaks.",
    )
    facility: FacilityName = Field(
        "local0",
        description="Syslog facility. Default local0: `mail` would mix the events into the receiver's own mail log.",
    )
    app_name: str = Field("mcwatch", pattern=r"^[!-~]{1,48}$", description="APP-NAME. Default mcwatch.")
    hostname: str | None = Field(
        None, pattern=r"^[!-~]{1,255}$", description="HOSTNAME. Default the name of this machine."
    )
    structured_data: bool = Field(
        True,
        description="Put account, kind and event_id into the header as RFC 5424 §6.3 structured data, for receivers "
        "that route or join without reading the message. Default true.",
    )
    enterprise_number: int = Field(
        EXAMPLE_ENTERPRISE,
        ge=1,
        le=2**32 - 1,
        description="The number behind mcwatch@ in structured data: your organisation's own from IANA's list. Default "
        "32473, which RFC 5612 sets aside for examples.",
    )
    severities: dict[str, SeverityName] = Field(
        # What a mail administrator would look at: policy has stopped the mail, or it did not get through.
        {"held": "notice", "rejected": "notice", "deferred": "notice", "bounced": "warning"},
        description="Syslog severity by the mail's status (held, rejected, …) or the event's kind (queue.left, …); the "
        "status wins, whatever is not listed is info. What is written here replaces the default {held: notice, "
        "rejected: notice, deferred: notice, bounced: warning}.",
    )
    max_message: Size | None = Field(
        None,
        ge=_LEAST_BYTES,
        le=2**24,
        description="Bytes of the longest message, header included; a longer event is sent without its bulkiest fields "
        'and with "truncated": true, CEF and LEEF are cut off at the end. Default 8KiB (RFC 5425 §4.3.1 asks receivers '
        "to take it), 2KiB over udp (RFC 5424 §6.1). At least 2KiB: an event of which only ids and times are left has "
        "up to 1.5KiB in some formats, header included.",
    )
    connect_timeout: Duration = Field(
        10.0, gt=0, description="Seconds for connecting and the TLS handshake. Default 10s."
    )
    send_timeout: Duration = Field(
        30.0,
        gt=0,
        description="Seconds for a batch to be sent and acknowledged by the receiver's kernel, with relp answered by "
        "the receiver. Default 30s.",
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
        if self.framing == "lf" and self.transport != "tcp":
            raise ValueError(_NO_LF[self.transport])
        if self.transport not in {"tls", "relp"} and self.tls != TlsConfig():
            raise ValueError(
                "tls has settings but transport is neither tls nor relp: nothing would be encrypted; "
                "set transport: tls or transport: relp"
            )
        if self.transport == "udp" and (self.max_message or 0) > _LARGEST_DATAGRAM_BYTES:
            raise ValueError(f"max_message is more than the {_LARGEST_DATAGRAM_BYTES} bytes of a UDP datagram")
        return self

    @property
    def event_names(self) -> Set[str]:
        """The keys of ``severities``."""
        return self.severities.keys()

    def build(self, channel: UUID | None = None) -> Sink:
        """Return the sink; syslog has no use for a channel."""
        encoder = self._encoder(_DATAGRAM_BYTES if self.transport == "udp" else _STREAM_BYTES)
        address = Address.parse(self.address)
        if self.transport == "udp":
            return DatagramSink(address, encoder, send_timeout_secs=self.send_timeout)
        dialler = Dialler(address, self.tls.build() if self._is_encrypted() else None, self.connect_timeout)
        if self.transport == "relp":
            return RelpSink(dialler, encoder, send_timeout_secs=self.send_timeout, window=self.relp_window)
        return StreamSink(dialler, encoder, send_timeout_secs=self.send_timeout)

    def _is_encrypted(self) -> bool:
        return self.transport == "tls" or (self.transport == "relp" and "tls" in self.model_fields_set)

    def _encoder(self, default_bytes: int) -> Encoder:
        origin = Origin(
            Facility[self.facility.upper()], self.hostname or socket.gethostname(), self.app_name, str(os.getpid())
        )
        severities = {name: Severity[severity.upper()] for name, severity in self.severities.items()}
        header = Header(origin, severities, self.enterprise_number if self.structured_data else None)
        return Encoder(header, self.max_message or default_bytes, self._frame(), self.bom)

    def _frame(self) -> Callable[[bytes], bytes]:
        if self.transport in {"udp", "relp"}:  # a datagram is a message; RELP numbers its frames as it sends them
            return bytes
        return lf_framed if self.framing == "lf" else octet_counted
