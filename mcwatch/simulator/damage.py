"""What a fault does to an answer: spoilt rows, spoilt bytes, and answers that never come from the function."""

from collections.abc import Callable
from itertools import count
from typing import Final

import msgspec

from mcwatch.simulator.envelope import Answer, Fail
from mcwatch.simulator.faults import Fault
from mcwatch.simulator.ledger import Sighting, Source

HTML: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Service unavailable</title></head>"
    b"<body><h1>The gateway could not reach the service</h1></body></html>\n"
)
_BIG_ROWS: Final = 40
_BIG_TEXT: Final = "0123456789abcdef" * 4096


class Damage:
    """Spoils the rows of answers; a counter makes each spoilt row differ from the ones before."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def spoil_rows(self, fault: Fault, answer: Answer, account: str, source: Source) -> bool:
        """Change an answer that has rows, and note in its sightings what came in; False when it has none to change."""
        if answer.rows is None or (fault.kind == "big_answer" and not answer.rows):
            return False
        if not answer.data:
            answer.data = [{_LIST_KEYS[source]: answer.rows}]
        _SPOILERS[fault.kind](answer, account, source, next(self._numbers))
        return True


def failed_answer(fault: Fault) -> Answer:
    """Make a failure that comes with HTTP 200."""
    if fault.kind == "meta_error":
        # Fixtures exist with a failing meta.status and nothing in fail (reference notes §E).
        return Answer(status=fault.status or 403)
    code = fault.code or "err_internal"
    error: Fail = {"code": code, "message": "The function failed", "retryable": fault.code is None}
    return Answer(fail=[{"errors": [error]}])


def _add_unreadable(answer: Answer, raw: bytes, account: str, source: Source) -> None:
    rows = answer.rows
    if rows is not None:
        rows.insert(len(rows) // 2, msgspec.Raw(raw))
        text = raw.decode("utf-8", "backslashreplace")
        answer.sightings.append(Sighting(account=account, source=source, id=None, raw=text))


def _odd_rows(answer: Answer, account: str, source: Source, number: int) -> None:
    for raw in (b"%d" % number, b'"row %d"' % number, b"null", b"[]", b'[{"id":%d}]' % number, b"true"):
        _add_unreadable(answer, raw, account, source)


def _wrong_types(answer: Answer, account: str, source: Source, number: int) -> None:
    for raw in (
        b'{"id":"odd-%d","received":["yesterday"],"created":["yesterday"],"status":7,"attempts":"many"}' % number,
        b'{"id":{"value":"odd-%d"},"to":12,"received":{},"created":{},"status":["held"]}' % number,
    ):
        _add_unreadable(answer, raw, account, source)


def _invalid_utf8(answer: Answer, account: str, source: Source, number: int) -> None:
    raw = (
        b'{"id":"latin-%d","status":"held","subject":"Gr\xfc\xdfe \xff","received":"2026-01-05T09:30:00+0000"}' % number
    )
    _add_unreadable(answer, raw, account, source)


def _big_answer(answer: Answer, _account: str, _source: Source, _number: int) -> None:
    for row in (answer.rows or [])[:_BIG_ROWS]:
        if isinstance(row, dict):
            row["padding"] = _BIG_TEXT


_LIST_KEYS: Final[dict[Source, str]] = {"message_finder": "trackedEmails", "processing_queue": "messages"}
_SPOILERS: Final[dict[str, Callable[[Answer, str, Source, int], None]]] = {
    "odd_rows": _odd_rows,
    "wrong_types": _wrong_types,
    "invalid_utf8": _invalid_utf8,
    "big_answer": _big_answer,
}
