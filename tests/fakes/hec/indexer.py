"""One server behind the endpoint."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

Envelope = dict[str, msgspec.Raw]
"""An event as sent: the JSON text of each key."""


@dataclass
class _Taken:
    channel: str
    ack_id: int
    events: list[Envelope]


class Indexer:
    """Counts what it takes per channel, in memory; says once what it has indexed; forgets all that when it crashes."""

    def __init__(self, write: Callable[[list[Envelope]], None]) -> None:
        self._write = write
        self._taken: deque[_Taken] = deque()
        self._next: dict[str, int] = {}
        self._stored: dict[str, set[int]] = {}
        self.asked: list[tuple[str, list[int]]] = []

    def take(self, channel: str, events: list[Envelope]) -> int:
        """Take events and give them a number."""
        ack_id = self._next.get(channel, 0)
        self._next[channel] = ack_id + 1
        self._taken.append(_Taken(channel, ack_id, events))
        return ack_id

    def index(self) -> None:
        """Index all that was taken."""
        while self._taken:
            taken = self._taken.popleft()
            self._write(taken.events)
            self._stored.setdefault(taken.channel, set()).add(taken.ack_id)

    def told(self, channel: str, numbers: list[int]) -> dict[str, bool]:
        """Say which are indexed, once."""
        self.asked.append((channel, numbers))
        stored = self._stored.setdefault(channel, set())
        answer = {str(number): number in stored for number in numbers}
        stored.difference_update(numbers)
        return answer

    def idle(self) -> None:
        """Forget all channels, as after ten minutes without a request."""
        self._next.clear()
        self._stored.clear()

    def crash(self) -> None:
        """Lose what is not indexed, and the memory of all channels."""
        self._taken.clear()
        self.idle()
