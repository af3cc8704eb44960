"""Any native event, as the store may hold it."""

from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st

from tests.unit.formats import native

# The long ones have tests of their own; a dozen of them in every event would only take time.
_HOSTILE = [text for text in native.HOSTILE_TEXTS if len(text) < 100]
TEXTS = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.sampled_from(_HOSTILE))
_WHOLE = st.integers(-(2**63), 2**63 - 1)
_TIMES = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)).map(  # noqa: DTZ001 - made UTC below
    lambda at: at.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
)
_ADDRESSES = st.one_of(st.none(), TEXTS, st.just("amy@corp.example"), st.just(native.digest("redacted")))
_IPS = st.one_of(TEXTS, st.ip_addresses().map(str), st.just(native.digest("ip")))
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), _WHOLE, st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
_OBJECTS = st.dictionaries(TEXTS, _JSON, max_size=3)
_SENDERS = st.fixed_dictionaries({"address": _ADDRESSES}, optional={"name": TEXTS})
_STATUSES = st.one_of(st.sampled_from(native.STATUSES), TEXTS)
_ROUTES = st.one_of(st.sampled_from(native.ROUTES), TEXTS)

_MESSAGES = st.fixed_dictionaries(
    {"id": st.none() | TEXTS, "key": TEXTS, "extra": _OBJECTS},
    optional={
        "status": _STATUSES,
        "info": TEXTS,
        "subject": TEXTS,
        "route": _ROUTES,
        "from_envelope": _SENDERS,
        "from_header": _SENDERS,
        "to": st.lists(_SENDERS, max_size=3),
        "sender_ip": _IPS,
        "attachments": st.booleans(),
        "received_at": _TIMES,
        "sent_at": _TIMES,
        "spam_score": st.one_of(_WHOLE, st.floats(allow_nan=False, allow_infinity=False)),
        "detection_level": TEXTS,
        "size": _WHOLE,
        "attempts": _WHOLE,
        "created_at": _TIMES,
        "next_attempt_at": _TIMES,
        "locked_until": _TIMES,
        "priority": TEXTS,
    },
)
_STAYS = st.fixed_dictionaries(
    {
        "type": TEXTS,
        "first_seen_at": _TIMES,
        "last_seen_at": _TIMES,
        "dwell_secs": st.floats(0, 1e9),
        "polls": st.integers(0, 2**31),
        "visit": st.integers(0, 2**31),
    }
)


def events() -> st.SearchStrategy[dict[str, Any]]:
    """Return native events: any kind, any fields, any texts."""
    return st.fixed_dictionaries(
        {
            "schema": st.just("mcwatch.event/1"),
            "event_id": st.just(native.FULL["event_id"]),
            "kind": st.sampled_from(native.KINDS),
            "account": TEXTS,
            "source": st.sampled_from(["message_finder", "processing_queue"]),
            "occurred_at": _TIMES,
            "observed_at": _TIMES,
            "message": _MESSAGES,
            "previous": st.none() | _OBJECTS,
            "queue": st.none() | _STAYS,
        }
    )
