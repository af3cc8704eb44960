"""What passes between a dispatcher and a sink: batches out, verdicts back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import msgspec

from mcwatch.domain.errors import FailureReason


class MessageHead(msgspec.Struct, frozen=True, gc=False):
    """What an envelope needs of the mail."""

    status: str | None = None


class EventHead(msgspec.Struct, frozen=True, gc=False):
    """The few fields of an event that an envelope (syslog header, index metadata) needs."""

    event_id: str
    kind: str
    account: str
    source: str
    occurred_at: datetime
    observed_at: datetime
    message: MessageHead = MessageHead()

    @property
    def status(self) -> str | None:
        """The mail's status; None where the API gave none, as for entries of a queue."""
        return self.message.status


_HEADS = msgspec.json.Decoder(EventHead)


@dataclass(frozen=True)
class Batch:
    """Events in the order recorded, ready to send.

    ``native`` holds each event as stored (format ``json``, one line without line end), ``payloads`` the same events as
    the destination's format renders them; both have one entry per event. ``content_type`` is that of the payloads:
    anything but ``application/json`` is text.
    """

    native: Sequence[bytes]
    payloads: Sequence[bytes]
    content_type: str = "application/json"

    @cached_property
    def heads(self) -> list[EventHead]:
        """The envelope fields of each event, decoded once and only when a sink asks for them."""
        return [_HEADS.decode(line) for line in self.native]

    def __len__(self) -> int:
        return len(self.payloads)

    def slice(self, start: int, stop: int) -> "Batch":
        """Return the events from ``start`` up to ``stop`` as a batch of their own."""
        return Batch(self.native[start:stop], self.payloads[start:stop], self.content_type)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The receiver's final no to one event. ``detail`` quotes the receiver and is shown in the dead letter alone."""

    reason: FailureReason
    detail: str


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of a batch, event by event: whatever is in neither mapping was accepted.

    ``refused`` and ``retry`` are keyed by the event's index in the batch. A sink that cannot say which event was at
    fault raises an error instead and has then accepted none of the batch. With a ``receipt`` the accepted ones are only
    handed over: they count as accepted once the sink's acknowledgements confirm it. It is opaque, unique, and means
    the same to a later process.
    """

    refused: dict[int, Refusal] = field(default_factory=dict)
    retry: frozenset[int] = frozenset()
    receipt: bytes | None = None


ALL_ACCEPTED = Verdicts()
