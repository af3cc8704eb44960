"""Where a fingerprint is kept: in the second its row speaks of, beside the others of that second."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from mcwatch.domain.event import NO_SECOND
from mcwatch.domain.record import Record

MARK_BYTES = 16
TIMELESS = NO_SECOND
"""Seconds from here on are no time at all: rows that name none are spread over 65,536 places by their fingerprint."""

_EARLIEST = 1_000_000_000
"""2001-09-09, before any mail that can still be asked for: an earlier time is a placeholder such as 1970-01-01.

Kept under such a second, a fingerprint would be past its time at once and its row new again after every expiry.
"""


def timeless(mark: bytes) -> int:
    """Return the place of a fingerprint whose row names no time."""
    return TIMELESS + int.from_bytes(mark[:2])


def place_at(at: datetime | None, mark: bytes) -> int:
    """Return the second (since 1970, UTC) of a time; where that says nothing, the place of a row without one."""
    if at is None:
        return timeless(mark)
    second = int(at.timestamp())
    return second if _EARLIEST <= second < TIMELESS else timeless(mark)


def second_of(row: Record, mark: bytes) -> int:
    """Return the second that a row's fingerprint is kept in."""
    return place_at(row.received_at or row.created_at, mark)


def seconds_of(rows: Sequence[Record], marks: Sequence[bytes]) -> list[int]:
    """Return :func:`second_of` of every row; neighbours mostly share theirs, which spares the computation."""
    found: list[int] = []
    before, second = None, 0
    for row, mark in zip(rows, marks, strict=True):
        at = row.received_at
        if at is None or at != before:
            second = second_of(row, mark)
            before = at if second < TIMELESS else None
        found.append(second)
    return found


def join_marks(stored: Iterable[bytes]) -> set[bytes]:
    """Return the fingerprints of several seconds as one set."""
    joined = b"".join(stored)
    return {joined[at : at + MARK_BYTES] for at in range(0, len(joined), MARK_BYTES)}
