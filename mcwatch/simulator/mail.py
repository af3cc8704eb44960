"""A mail and its whole life, fixed at birth, so that its state at any instant is a lookup."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar


class Address(NamedTuple):
    """A mailbox with an optional display name."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part after the last @, in lower case."""
        return self.address.rpartition("@")[2].lower()


class FinderState(NamedTuple):
    """What the finder shows from `at` on; an empty status means that the row is gone."""

    at: float
    status: str
    info: str | None = None


class QueueState(NamedTuple):
    """What the processing queue shows from `at` on; an empty queue means that the mail has left."""

    at: float
    queue: str
    attempts: int = 1
    info: str | None = None
    locked_until: int | None = None
    next_attempt: int | None = None


class _Dated(Protocol):
    @property
    def at(self) -> float: ...


S = TypeVar("S", bound=_Dated)


@dataclass(frozen=True, slots=True, eq=False)
class Mail:
    """One mail as Mimecast sees it: one row of the finder, and one entry of the queue while it is there."""

    uid: str
    born_at: float
    route: str
    envelope_from: Address
    header_from: Address
    to: tuple[Address, ...]
    subject: str | None
    sender_ip: str
    attachments: bool
    size: int
    spam_score: int
    detection_level: str
    oddity: str
    """Names the unusual spelling of its rows; empty for the usual one."""
    queue_states: tuple[QueueState, ...]
    finder_states: tuple[FinderState, ...]

    @property
    def received(self) -> int:
        """The time all answers give: whole seconds (reference notes §F, §G)."""
        return int(self.born_at)

    @property
    def leaves_queue_at(self) -> float:
        """When it is out of the queue for good: never, if its life ends there."""
        if not self.queue_states:
            return -math.inf
        last = self.queue_states[-1]
        return math.inf if last.queue else last.at

    @property
    def message_id(self) -> str:
        """The Internet Message-ID: searchable, never shown (reference notes §0)."""
        return f"<{self.uid}@{self.header_from.domain}>"

    @property
    def url(self) -> str:
        """A link in the text, searchable only."""
        return f"https://www.{self.header_from.domain}/"


def state_at(states: Sequence[S], now: float) -> tuple[S | None, float]:
    """Return the state at an instant, None before the first, and when the next one begins."""
    current: S | None = None
    for state in states:
        if state.at > now:
            return current, state.at
        current = state
    return current, math.inf
