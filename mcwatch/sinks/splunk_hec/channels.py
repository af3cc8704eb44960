"""Which channel a batch is handed over on, and the receipt for it.

An indexer numbers the requests of a channel from 0, in memory: after its restart, and after ten idle minutes, the same
numbers come again. Were two batches on one channel, the number of the one that a crash has lost could be given to the
other, perhaps in an answer that nobody got, and would confirm both. So a channel carries one batch until that batch is
confirmed, and a later process begins channels of its own.
"""

from dataclasses import dataclass
from uuid import UUID, uuid5

import msgspec

_MOST_REMEMBERED = 10_000
"""Channels whose batch is not confirmed; the oldest was given up long ago, and is not used again."""


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """What a batch was answered with, and all that it takes to ask for it. ``cookie`` leads to the same indexer."""

    url: str
    channel: str
    ack_id: int
    cookie: str
    run: str
    serial: int


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel during one hand-over."""

    id: str
    serial: int


_RECEIPTS = msgspec.json.Decoder(Receipt)


def receipt_of(encoded: bytes) -> Receipt | None:
    """Return a receipt; None for one that another version wrote."""
    try:
        return _RECEIPTS.decode(encoded)
    except msgspec.DecodeError:
        return None


class Channels:
    """The channels of one sink.

    Args:
        base: what the receiver may know the destination by; its channels are derived from it.
        run: a word that no other process has.
    """

    def __init__(self, base: UUID, run: str) -> None:
        self._base = base
        self._run = run
        self._made = 0
        self._serial = 0
        self._free: list[str] = []
        self._waiting: dict[str, int] = {}

    @property
    def spare(self) -> str:
        """A channel that no event is sent on, for questions without a receipt."""
        return str(uuid5(self._base, f"{self._run} spare"))

    def take(self) -> Channel:
        """Return a channel that carries nothing."""
        self._serial += 1
        if self._free:
            return Channel(self._free.pop(), self._serial)
        self._made += 1
        return Channel(str(uuid5(self._base, f"{self._run} {self._made}")), self._serial)

    def give_back(self, channel: Channel) -> None:
        """Note that nothing was handed over. One whose request ended in doubt is not given back, nor used again."""
        self._free.append(channel.id)

    def receipt(self, channel: Channel, url: str, ack_id: int, cookie: str) -> bytes:
        """Return the receipt for what was handed over."""
        self._waiting[channel.id] = channel.serial
        if len(self._waiting) > _MOST_REMEMBERED:
            del self._waiting[next(iter(self._waiting))]
        return msgspec.json.encode(Receipt(url, channel.id, ack_id, cookie, self._run, channel.serial))

    def confirmed(self, receipt: Receipt) -> None:
        """Use the channel again, if it is ours and still carries that very batch."""
        if receipt.run == self._run and self._waiting.get(receipt.channel) == receipt.serial:
            del self._waiting[receipt.channel]
            self._free.append(receipt.channel)
