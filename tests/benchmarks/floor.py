"""The floor: typed decode and JSON encode of the same pages with msgspec, and nothing else."""

import time
from collections.abc import Sequence

import msgspec

from mcwatch.domain.record import Record
from mcwatch.sources.message_finder import FinderItem


class _Envelope(msgspec.Struct, gc=False):
    data: list[FinderItem]


def floor_us(pages: Sequence[bytes], rounds: int = 3) -> float:
    """Return the CPU microseconds per row of the best of some rounds.

    Measured now and again among the runs it is compared with: the machine is now faster, now slower.
    """
    decoder, encoder = msgspec.json.Decoder(_Envelope), msgspec.json.Encoder()
    best = float("inf")
    for _ in range(rounds):
        started, rows = time.process_time(), 0
        for page in pages:
            answer = decoder.decode(page)
            encoder.encode(answer)
            rows += sum(len(item.tracked_emails or ()) for item in answer.data)
        best = min(best, (time.process_time() - started) / rows * 1e6)
    return best


def rows_of(pages: Sequence[bytes]) -> list[Record]:
    """Return the rows of some pages."""
    decoder = msgspec.json.Decoder(_Envelope)
    return [row for page in pages for item in decoder.decode(page).data for row in item.tracked_emails or ()]
