"""Where fingerprints are kept."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.fingerprint import TIMELESS, join_marks, second_of, seconds_of, timeless
from mcwatch.domain.record import Record
from tests.unit.domain.rows import RECEIVED, finder_row, queue_row

MARK = bytes(range(16))
SECOND = int(RECEIVED.timestamp())


def test_a_row_lies_in_its_own_second() -> None:
    """The finder's rows lie in the second they were received, the queue's in the one they were created."""
    assert (SECOND, SECOND) == (second_of(finder_row(), MARK), second_of(queue_row(), MARK))


def test_offset_and_fraction_do_not_matter() -> None:
    """The second is counted in UTC, whatever the offset, and without its fraction."""
    at = RECEIVED.replace(microsecond=999_999).astimezone(timezone(timedelta(hours=9)))
    assert SECOND == second_of(finder_row(received_at=at), MARK)


@pytest.mark.parametrize(
    "at",
    [
        None,
        datetime(1969, 12, 31, 23, 59, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2001, 9, 9, 1, 46, 39, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, tzinfo=UTC),
    ],
)
def test_rows_of_no_usable_time_are_spread_by_fingerprint(at: datetime | None) -> None:
    """A missing or impossible time, or a placeholder, gives a place beyond all seconds, chosen by the fingerprint."""
    assert TIMELESS + 1 == second_of(Record(received_at=at), MARK)
    assert TIMELESS + 0xFFFF == timeless(b"\xff" * 16)
    assert 10**9 == second_of(Record(received_at=datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)), MARK)


@given(st.lists(st.tuples(st.sampled_from([None, RECEIVED, datetime(1, 1, 1, tzinfo=UTC)]), st.binary(min_size=16))))
def test_seconds_of_a_page(rows: list[tuple[datetime | None, bytes]]) -> None:
    """The seconds of a page are those of its rows, one after the other, times or not."""
    page = [Record(received_at=at, created_at=RECEIVED if mark < b"a" else None) for at, mark in rows]
    marks = [mark for _, mark in rows]
    assert [second_of(row, mark) for row, mark in zip(page, marks, strict=True)] == seconds_of(page, marks)


def test_marks_are_joined_from_several_seconds() -> None:
    """The fingerprints of several seconds become one set; an empty second adds none."""
    other = MARK[::-1]
    assert {MARK, other} == join_marks([MARK + other, b"", MARK])
