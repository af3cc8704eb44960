"""Rows for the tests of the pure floor: one of each feed, and strategies that draw any."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
from hypothesis import strategies as st

from mcwatch.domain.record import Record, WireAddress

NOW = datetime(2026, 1, 5, 9, 30, 0, 412_000, tzinfo=UTC)
RECEIVED = datetime(2026, 1, 5, 9, 29, 2, tzinfo=UTC)


def finder_row(**fields: Any) -> Record:  # noqa: ANN401 -- fields of Record
    """Return a row of the finder; ``fields`` replace those given here."""
    given: dict[str, Any] = {
        "id": "eNp1",
        "status": "held",
        "info": "Message Hold Applied",
        "subject": "Quarter update",
        "route": "inbound",
        "from_envelope": WireAddress("bounce@news.example"),
        "from_header": WireAddress("news@news.example", "News"),
        "to": [WireAddress("amy@corp.example", "")],
        "sender_ip": "198.51.100.7",
        "attachments": False,
        "received_at": RECEIVED,
        "sent_at": RECEIVED,
        "spam_score": 6,
        "detection_level": "relaxed",
    }
    return Record(**given | fields)


def queue_row(**fields: Any) -> Record:  # noqa: ANN401 -- fields of Record
    """Return an entry of a queue; ``fields`` replace those given here."""
    given: dict[str, Any] = {
        "id": "eNpQ",
        "info": "Waiting for attachment scan",
        "subject": "Quarter update",
        "route": "inbound",
        "from_envelope": WireAddress("bounce@news.example"),
        "to": [WireAddress("amy@corp.example")],
        "sender_ip": "198.51.100.7",
        "size": 48211,
        "attempts": 2,
        "created_at": RECEIVED,
        "priority": "normal",
    }
    return Record(**given | fields)


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(timezones=st.one_of(st.just(UTC), ZONES))
TEXTS = st.text(st.characters(), max_size=6)
"""Any text, lone surrogates included."""
WHOLES = st.integers(-(2**63), 2**63 - 1)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw a value, or None for a field the row did not give."""
    return st.none() | strategy


def records(texts: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[Record]:
    """Draw any row that either feed may come to."""
    addresses = st.builds(WireAddress, maybe(texts), maybe(texts))
    times = maybe(TIMES)
    return st.builds(
        Record,
        id=maybe(texts), status=maybe(texts), info=maybe(texts), subject=maybe(texts), route=maybe(texts),
        from_envelope=maybe(addresses), from_header=maybe(addresses), to=maybe(st.lists(addresses, max_size=3)),
        sender_ip=maybe(texts), attachments=maybe(st.booleans()), received_at=times, sent_at=times,
        spam_score=maybe(WHOLES | st.floats(allow_nan=False, allow_infinity=False)), detection_level=maybe(texts),
        size=maybe(WHOLES), attempts=maybe(WHOLES), created_at=times, next_attempt_at=times, locked_until=times,
        priority=maybe(texts), extra=st.just(msgspec.UNSET) | st.dictionaries(texts, texts, max_size=2),
    )  # fmt: skip
