"""How answers become rows."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    StoreUnavailable,
    ThrottledError,
    TransientError,
)
from mcwatch.domain.record import Record, Unreadable, WireAddress
from mcwatch.mimecast.envelope import Answer
from mcwatch.sources.base import Rounds, RowReader, ends_poll
from mcwatch.sources.message_finder import FinderItem, FinderRow
from mcwatch.sources.processing_queue import QueueItem, QueueRow


def finder(data: bytes) -> tuple[Answer[FinderItem], list[Record], list[Unreadable]]:
    """Read an answer of the finder with this data."""
    reader = RowReader(FinderItem, FinderRow, "trackedEmails")
    answer = reader.decoder.decode(b'{"meta":{"status":200},"data":' + data + b"}")
    return answer, *reader.rows(answer)


def queue(data: bytes) -> list[Record]:
    """Read an answer of the queue with this data."""
    reader = RowReader(QueueItem, QueueRow, "messages")
    return reader.rows(reader.decoder.decode(b'{"meta":{"status":200},"data":' + data + b"}"))[0]


def ids(rows: list[Record]) -> list[str | None]:
    """Return the ids of rows."""
    return [row.id for row in rows]


@pytest.mark.parametrize("data", [b"[]", b"[{}]", b'[{"trackedEmails":[]}]', b'[{"trackedEmails":null}]', b"null"])
def test_nothing(data: bytes) -> None:
    """Every way to say that there is nothing takes the fast path to no rows."""
    answer, rows, unreadable = finder(data)
    assert (True, [], []) == (answer.items is not None, rows, unreadable)


def test_all_items_are_read() -> None:
    """Should `data` hold several items, the rows of all are read."""
    _, rows, _ = finder(b'[{"trackedEmails":[{"id":"a"}]},{},{"trackedEmails":[{"id":"b"}]}]')
    assert ["a", "b"] == ids(rows)


def test_unknown_keys_beside_the_rows_do_no_harm() -> None:
    """A new key of the item leaves the fast path open."""
    answer, rows, _ = finder(b'[{"new":{"a":1},"trackedEmails":[{"id":"a"}]}]')
    assert (True, ["a"]) == (answer.items is not None, ids(rows))


def test_one_odd_row_leaves_its_neighbours_typed() -> None:
    """Rows are read one by one then: the typed way where it fits, leniently or not at all where it does not."""
    answer, rows, unreadable = finder(b'[{"trackedEmails":[{"id":"a"},{"id":7,"new":1},5,{"id":"b"}]}]')
    assert answer.items is None
    assert (["a", "7", "b"], [b"5"]) == (ids(rows), [row.raw for row in unreadable])
    assert [msgspec.UNSET, {"new": 1}, msgspec.UNSET] == [row.extra for row in rows]


@pytest.mark.parametrize(
    "item",
    [
        b'{"trackedEmails" :  {"id":"a"} }',
        b'{"trackedEmails":[{"id":"a","new":"\xff"}]}',
        b'{"trackedEmails":[{"id":"a","new":"\\ud800"}]}',
        b'{"trackedEmails":[{"id":"a","new":"\x01"}]}',
        b'{"trackedEmails":[{"id":"a","new":123456789012345678901234567890}]}',
    ],
)
def test_items_that_are_hardly_documented(item: bytes) -> None:
    """One object where a list is due, and text that is hardly JSON, are read."""
    _, rows, unreadable = finder(b"[" + item + b"]")
    assert (["a"], []) == (ids(rows), unreadable)


@pytest.mark.parametrize("data", [b'[{"trackedEmails":"none"}]', b'[{"trackedEmails":7}]', b"[7]", b'["a"]'])
def test_what_is_no_list_of_rows(data: bytes) -> None:
    """An answer without a list of rows is broken, and may be whole at the next attempt."""
    with pytest.raises(TransientError) as caught:
        finder(data)
    assert FailureReason.BAD_RESPONSE == caught.value.reason


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (b'{"emailAddress":"a@b"}', [WireAddress("a@b")]),
        (b'[{"emailAddress":"a@b"},{"emailAddress":"c@d"}]', [WireAddress("a@b"), WireAddress("c@d")]),
        (b"null", None),
        (b"[]", []),
    ],
)
def test_recipients_of_a_queue_entry(to: bytes, expected: Any) -> None:  # noqa: ANN401 -- or None
    """The one recipient, a list of them, and none end under the same name."""
    (row,) = queue(b'[{"messages":[{"id":"a","to":' + to + b"}]}]")
    assert expected == row.to


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (TransientError("no", reason=FailureReason.CONNECTION), True),
        (TransientError("no", reason=FailureReason.TIMEOUT), True),
        (TransientError("no", reason=FailureReason.SERVER), True),
        (ThrottledError("no"), True),
        (AuthError("no"), True),
        (StoreUnavailable("no"), True),
        (TransientError("no", reason=FailureReason.BAD_RESPONSE), False),
        (PermanentError("no"), False),
        (PermanentError("no", reason=FailureReason.SERVER), False),
        (MisconfiguredError("no"), False),
    ],
)
def test_what_ends_a_poll(error: McwatchError, ends: bool) -> None:
    """What speaks of the API or the account ends the poll, what speaks of one request does not."""
    assert ends == ends_poll(error)


async def read_parts(rounds: Rounds[str], failing: dict[str, McwatchError]) -> tuple[list[str], McwatchError | None]:
    """Read the parts once; return those tried, and the error."""
    tried: list[str] = []

    async def pages_of(part: str) -> AsyncIterator[str]:
        tried.append(part)
        yield part
        if part in failing:
            raise failing[part]

    try:
        _ = [page async for page in rounds.read(pages_of)]
    except McwatchError as error:
        return tried, error
    return tried, None


async def test_a_failing_part_leaves_the_others() -> None:
    """The others are read, in the same order each time, and the last error comes out."""
    first, second = PermanentError("first"), TransientError("second", reason=FailureReason.BAD_RESPONSE)
    rounds = Rounds("abc")
    for _ in range(2):
        assert (["a", "b", "c"], second) == await read_parts(rounds, {"a": first, "b": second})
    assert (["a", "b", "c"], None) == await read_parts(rounds, {})


async def test_an_api_that_is_away_is_asked_once() -> None:
    """The poll ends at the first failure of the API; should one part alone cause it, the others are not starved."""
    away = TransientError("away")
    rounds = Rounds("abc")
    assert (["a"], away) == await read_parts(rounds, {"a": away})
    assert (["b", "c", "a"], away) == await read_parts(rounds, {"a": away})
    assert (["b", "c", "a"], None) == await read_parts(rounds, {})
