"""From a batch to syslog messages: header, clipping, refusal of what cannot be made to fit. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from mcwatch.domain.delivery import Batch, Refusal
from mcwatch.domain.errors import FailureReason
from mcwatch.sinks.syslog.clipping import clip_json, clip_text
from mcwatch.sinks.syslog.rfc5424 import UTF8_BOM, Header, neutralised


@dataclass(frozen=True, slots=True)
class Encoded:
    """The messages of a batch by the event's index, framed; ``clipped`` of them lost optional fields."""

    messages: dict[int, bytes]
    refused: dict[int, Refusal]
    clipped: int


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns events into framed messages of at most ``max_message_bytes`` each, the frame not counted.

    ``bom`` puts a byte order mark before the payload, as RFC 5424 section 6.4 demands of UTF-8; receivers that parse
    JSON mostly stumble over it.
    """

    header: Header
    max_message_bytes: int
    frame: Callable[[bytes], bytes]
    bom: bool = False

    def encode(self, batch: Batch) -> Encoded:
        """Return the framed messages and the refusals of a batch."""
        messages: dict[int, bytes] = {}
        refused: dict[int, Refusal] = {}
        clipped = 0
        mark = UTF8_BOM if self.bom else b""
        clip = clip_json if batch.content_type == "application/json" else clip_text
        write, frame, limit_bytes = self.header.write, self.frame, self.max_message_bytes
        for index, (head, payload) in enumerate(zip(batch.heads, batch.payloads, strict=True)):
            start = write(head) + mark
            text = neutralised(payload)
            if len(start) + len(text) <= limit_bytes:
                messages[index] = frame(start + text)
                continue
            shortened = clip(text, limit_bytes - len(start))
            if shortened is None:
                refused[index] = _too_large(len(start) + len(text), limit_bytes)
            else:
                clipped += 1
                messages[index] = frame(start + shortened)
        return Encoded(messages, refused, clipped)


def _too_large(size_bytes: int, limit_bytes: int) -> Refusal:
    return Refusal(
        FailureReason.TOO_LARGE,
        f"the message has {size_bytes} bytes and cannot be shortened to the {limit_bytes} of sink.max_message",
    )
