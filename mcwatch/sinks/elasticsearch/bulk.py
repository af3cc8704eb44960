"""The request: where it goes and what it says (Elasticsearch reference, Bulk API). Pure."""

from dataclasses import dataclass
from urllib.parse import quote

from mcwatch.domain.delivery import Batch
from mcwatch.domain.event import EVENT_ID_AT
from mcwatch.sinks.base import single_lines

CONTENT_TYPE = "application/x-ndjson"
FILTER_PATH = "errors,items.*.status,items.*.error.type,items.*.error.reason"
"""Shrinks the answer. Every item has a status, so none is filtered away whole: verdicts go by position."""

_STAMPED = b'{"create":{"_id":"%b"}}\n%b\n'
_UNSTAMPED = b'{"create":{"_id":"%b"}}\n{"@timestamp":%b%b%b\n'
_TIMESTAMP = b'{"@timestamp":'
_OCCURRED_AT = b',"occurred_at":'


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """What the events are written to, and the ingest pipeline they pass first."""

    name: str
    is_data_stream: bool
    pipeline: str | None = None

    def __str__(self) -> str:
        return f"the {'data stream' if self.is_data_stream else 'index'} {self.name}"

    def path(self, *, required: bool) -> str:
        """Return path and query of a bulk request.

        ``required`` has the server refuse to make an ordinary index of a mistyped data stream.
        """
        query = f"filter_path={FILTER_PATH}"
        if self.pipeline is not None:
            query += f"&pipeline={quote(self.pipeline, safe='')}"
        if required and self.is_data_stream:
            query += "&require_data_stream=true"
        return f"/{quote(self.name, safe='')}/_bulk?{query}"


def body_of(batch: Batch) -> bytes:
    """Return the actions and documents of a batch, each line ended by LF, also the last.

    ``create`` under the event's id writes an event once, however often it is sent, and is all that data streams take.
    They also want ``@timestamp``: a document that does not begin with it gets the event's own time in front.
    """
    # A line end between two tokens of a document would make actions of its lines.
    payloads = single_lines(batch.payloads)
    parts: list[bytes] = []
    for native, payload in zip(batch.native, payloads, strict=True):
        event_id = native[EVENT_ID_AT]
        if payload.startswith(_TIMESTAMP):
            parts.append(_STAMPED % (event_id, payload))
        else:
            rest = payload[1:]
            comma = b"" if rest.startswith(b"}") else b","
            parts.append(_UNSTAMPED % (event_id, _occurred_at(native), comma, rest))
    return b"".join(parts)


def _occurred_at(native: bytes) -> bytes:
    """Return the event's time as it stands in its native line, quotes included."""
    # Quotes inside an earlier value are escaped, so what is found is the event's own key.
    start = native.index(_OCCURRED_AT, EVENT_ID_AT.stop) + len(_OCCURRED_AT)
    return native[start : native.index(b'"', start + 1) + 1]
