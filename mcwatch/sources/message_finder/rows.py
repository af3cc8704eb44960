"""The rows of the message finder, and where its answers keep them."""

from typing import Any

import msgspec

from mcwatch.domain.record import AwareTime, Record, Whole, WireAddress
from mcwatch.sources.base import RowId


class FinderRow(Record, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A row as the vendor's page and real answers spell it."""

    id: RowId | None  # a row without one is read leniently, which asks what else tells it from others
    from_envelope: WireAddress | None = msgspec.field(default=None, name="fromEnv")
    from_header: WireAddress | None = msgspec.field(default=None, name="fromHdr")
    sender_ip: str | None = msgspec.field(default=None, name="senderIP")
    received_at: AwareTime | None = msgspec.field(default=None, name="received")
    sent_at: AwareTime | None = msgspec.field(default=None, name="sent")
    spam_score: Whole | float | None = msgspec.field(default=None, name="spamScore")
    detection_level: str | None = msgspec.field(default=None, name="detectionLevel")
    created_at: AwareTime | None = msgspec.field(default=None, name="created")
    next_attempt_at: AwareTime | None = msgspec.field(default=None, name="nextAttempt")
    locked_until: AwareTime | None = msgspec.field(default=None, name="lockedUntil")
    extra: dict[str, Any] | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="(extra)")


class FinderItem(msgspec.Struct, gc=False):
    """The one object in ``data``."""

    tracked_emails: list[FinderRow] | None = msgspec.field(default=None, name="trackedEmails")
