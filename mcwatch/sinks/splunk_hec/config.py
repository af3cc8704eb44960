"""The options of the splunk_hec sink."""

import re
import socket
from collections.abc import Set
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from pydantic import Field, StringConstraints, field_validator

from mcwatch.interfaces import Sink
from mcwatch.option_types import Duration, Secret
from mcwatch.sinks.receiver import Receiver, ReceiverConfig, ReceiverOptions, Target, revealed
from mcwatch.sinks.splunk_hec.acknowledged import AcknowledgedHecSink
from mcwatch.sinks.splunk_hec.channels import Channels
from mcwatch.sinks.splunk_hec.envelope import EnvelopeOptions, Envelopes
from mcwatch.sinks.splunk_hec.sink import SplunkHecSink

_ENDPOINT = re.compile(r"/services/collector(/event)?(/1\.0)?$")
_Index = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_][a-z0-9_-]{0,254}$")]
_Word = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class SplunkHecSinkConfig(ReceiverConfig):
    """Splunk's HTTP Event Collector."""

    type: Literal["splunk_hec"] = Field(description="Splunk, over its HTTP Event Collector (HEC).")
    token: Secret = Field(description="The token, as Splunk shows it. Read again when its file changes.")
    ack: bool = Field(
        True,
        description="Wait for Splunk's word that events are indexed (indexer acknowledgement, to be enabled for the "
        "token) before they count as delivered. Default true: without it a crash of Splunk loses what it had taken. "
        "Set false where it cannot be had, as in most of Splunk Cloud.",
    )
    ack_timeout: Duration = Field(
        300.0,
        ge=1,
        description="How long events may stay unacknowledged before they are sent again. Default 5m; below that Splunk "
        "may just be slow, and events come twice.",
    )
    index: _Index | None = Field(None, description="Index of the events. Default the token's own.")
    indexes: dict[str, _Index] = Field(
        default_factory=dict,
        description="Indexes of single accounts, by account name. An account that is not listed takes `index`.",
    )
    host: _Word | None = Field(None, description="Host of the events. Default the name of this machine.")
    source: _Word | None = Field(
        None, description="Source of the events. Default mcwatch:message_finder or mcwatch:processing_queue."
    )
    sourcetype: _Word | None = Field(
        None,
        description="Sourcetype of the events. Default mcwatch:json, or mcwatch:text for formats that are not JSON.",
    )
    indexed_fields: bool = Field(
        True,
        description="Send event_id, kind and account as indexed fields, for tstats. Default true. Splunk extracts the "
        "same names from JSON at search time, which doubles their values: the add-on TA-mcwatch sees to that; without "
        "it give the sourcetype KV_MODE = none and AUTO_KV_JSON = false, or set this to false.",
    )
    compression: Literal["gzip", "none"] = Field(
        "gzip", description="Packing of the body. Default gzip: JSON shrinks to about a tenth."
    )

    @field_validator("url")
    @classmethod
    def _check_endpoint(cls, urls: list[str]) -> list[str]:
        for url in urls:
            parts = urlsplit(url)
            if parts.username is not None:
                raise ValueError("give the token as `token`, not in the URL")
            if parts.query or parts.fragment:
                raise ValueError("write the URL without ? and #: the token is sent as a header")
            if "/services/collector" in parts.path and not _ENDPOINT.search(parts.path.rstrip("/")):
                raise ValueError("write https://host:8088: events go to /services/collector/event, not to this path")
        return urls

    @property
    def account_names(self) -> Set[str]:
        """The keys of ``indexes``."""
        return self.indexes.keys()

    @property
    def targets(self) -> list[Target]:
        """The URLs up to where HEC's own paths begin."""
        return [Target(_base(target.url)) for target in super().targets]

    def build(self, channel: UUID | None = None) -> Sink:
        """Return the sink; the channels it hands events over on are derived from ``channel``."""
        targets = self.targets
        receiver = Receiver(
            ReceiverOptions(
                targets=targets,
                headers=[("Authorization", lambda: f"Splunk {revealed(self.token.reveal, 'token')}")],
                timeout_secs=self.timeout,
                proxy=self.proxy,
                tls=self.tls.build(),
            )
        )
        is_packed = self.compression == "gzip"
        if not self.ack:
            return SplunkHecSink(receiver, self._envelopes(), is_packed=is_packed)
        return AcknowledgedHecSink(
            receiver,
            [target.url for target in targets],
            self._envelopes(),
            is_packed=is_packed,
            channels=Channels(channel or uuid4(), uuid4().hex),
            timeout_secs=self.ack_timeout,
        )

    def _envelopes(self) -> Envelopes:
        return Envelopes(
            EnvelopeOptions(
                host=self.host or socket.gethostname(),
                source=self.source,
                sourcetype=self.sourcetype,
                index=self.index,
                indexes=self.indexes,
                has_fields=self.indexed_fields,
            )
        )


def _base(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=_ENDPOINT.sub("", parts.path.rstrip("/"))).geturl()
