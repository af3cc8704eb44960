"""The body of a request: one JSON object per event, separated by line ends, and never an array (protocol notes §4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from mcwatch.domain.delivery import Batch, EventHead

_encode = msgspec.json.Encoder().encode
_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeOptions:
    """What Splunk is told about an event beside the event itself.

    Args:
        host: the ``host`` of every event.
        source: the ``source`` of every event; None gives each feed its own.
        sourcetype: the ``sourcetype`` of every event; None takes that of the payload.
        index: where events go; None leaves it to the token.
        indexes: where the events of single accounts go instead.
        has_fields: whether event_id, kind and account are indexed fields.
    """

    host: str
    source: str | None = None
    sourcetype: str | None = None
    index: str | None = None
    indexes: Mapping[str, str] = field(default_factory=dict[str, str])
    has_fields: bool = True


class Envelopes:
    """Wraps events. What events of one account, feed and kind have in common is encoded once."""

    def __init__(self, options: EnvelopeOptions) -> None:
        self._options = options
        self._parts: dict[tuple[str, str, str, bool], tuple[bytes, bytes]] = {}

    def body(self, batch: Batch) -> bytes:
        """Return the events of a batch in their order; the same batch gives the same bytes."""
        is_json = batch.content_type == _JSON
        payloads = batch.payloads if is_json else [_encode(text.decode("utf-8", "replace")) for text in batch.payloads]
        lines = []
        for head, payload in zip(batch.heads, payloads, strict=True):
            before, after = self._around(head, is_json=is_json)
            # Fixed point: Splunk refuses scientific notation with code 15. Seconds with milliseconds.
            lines.append(
                b'{"time":%.3f%b%b%b%b}'
                % (head.occurred_at.timestamp(), before, _encode(head.event_id) if after else b"", after, payload)
            )
        return b"\n".join(lines)

    def _around(self, head: EventHead, *, is_json: bool) -> tuple[bytes, bytes]:
        """Return what stands before the event id and behind it; without fields there is no id and all stands before."""
        key = (head.account, head.source, head.kind, is_json)
        parts = self._parts.get(key)
        if parts is None:
            parts = self._parts[key] = self._encoded(head, is_json=is_json)
        return parts

    def _encoded(self, head: EventHead, *, is_json: bool) -> tuple[bytes, bytes]:
        options = self._options
        meta = {
            "host": options.host,
            "source": options.source or f"mcwatch:{head.source}",
            "sourcetype": options.sourcetype or ("mcwatch:json" if is_json else "mcwatch:text"),
        }
        index = options.indexes.get(head.account, options.index)
        if index is not None:
            meta["index"] = index
        start = b"," + _encode(meta)[1:-1]
        if not options.has_fields:
            return start + b',"event":', b""
        fields = _encode({"kind": head.kind, "account": head.account})
        return start + b',"fields":{"event_id":', b"," + fields[1:] + b',"event":'
