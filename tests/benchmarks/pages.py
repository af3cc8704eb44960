"""Answers of the finder as the real API shapes them: opaque ids, mixed senders, four mails a second."""

import base64
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

ROWS_PER_PAGE = 1000
_ROWS_PER_SECOND = 4
_STATUSES = (
    ("archived", "Indexed and archived"),
    ("held", "Message Hold Applied - Spam Signature policy"),
    ("accepted", "Message accepted for delivery"),
)


def make_pages(count: int, end: datetime, seed: int = 1) -> list[bytes]:
    """Return ``count`` answers of 1,000 new rows, newest first, and a last one of a single row."""
    rng = random.Random(seed)
    total = count * ROWS_PER_PAGE
    rows = [_row(rng, end - timedelta(seconds=1 + number // _ROWS_PER_SECOND), number) for number in range(total + 1)]
    pages = [rows[start : start + ROWS_PER_PAGE] for start in range(0, total + 1, ROWS_PER_PAGE)]
    return [_answer(page, number, len(pages)) for number, page in enumerate(pages)]


def _answer(rows: list[dict[str, Any]], number: int, pages: int) -> bytes:
    pagination: dict[str, Any] = {"pageSize": ROWS_PER_PAGE}
    if number + 1 < pages:
        pagination["next"] = str(number + 1)
    envelope = {"meta": {"status": 200, "pagination": pagination}, "fail": [], "data": [{"trackedEmails": rows}]}
    return msgspec.json.encode(envelope)


def _row(rng: random.Random, at: datetime, number: int) -> dict[str, Any]:
    status, info = _STATUSES[number % len(_STATUSES)]
    when = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
    return {
        "id": "eNp" + base64.urlsafe_b64encode(rng.randbytes(246)).decode(),
        "status": status,
        "info": info,
        "received": when,
        "sent": when,
        "fromEnv": {"emailAddress": f"bounce-{rng.randrange(10**6)}@news.example"},
        "fromHdr": {"displayableName": "The News", "emailAddress": "news@news.example"},
        "to": [{"displayableName": "", "emailAddress": f"user{rng.randrange(5000)}@corp.example"}],
        "subject": f"Quarter update {rng.randrange(10**6)} for your region",
        "senderIP": f"198.51.100.{rng.randrange(256)}",
        "route": "inbound",
        "attachments": number % 3 == 0,
        "spamScore": number % 10,
        "detectionLevel": "relaxed",
    }
