"""The decoded API rows of both feeds under one set of names.

The two feeds spell the same things differently (``fromHdr`` and ``fromHeader``, ``senderIP`` and ``remoteIp``;
reference notes F and G). Each source subclasses :class:`Record` with its own wire names, so that one typed decode
yields these attributes; what does not fit goes through :func:`mcwatch.sources.lenient.read_row` into the same shape.
"""

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

AwareTime = Annotated[datetime, Meta(tz=True)]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number that every encoding of an event can hold; a larger one is kept as text in ``extra``."""


class Address(Struct, frozen=True, omit_defaults=True, gc=False):
    """A mail address as an event shows it; ``name`` is the display name, None when missing or empty."""

    address: str | None
    name: str | None = None


class WireAddress(
    Struct,
    frozen=True,
    gc=False,
    forbid_unknown_fields=True,
    rename={"address": "emailAddress", "name": "displayableName"},
):
    """A mail address as both feeds spell it (reference notes F and G)."""

    address: str | None = None
    name: str | None = None


class Record(Struct, gc=False, kw_only=True):
    """One row of either feed. None means that the row did not say; times are aware."""

    id: str | None = None
    status: str | None = None
    info: str | None = None
    subject: str | None = None
    route: str | None = None
    from_envelope: WireAddress | None = None
    from_header: WireAddress | None = None
    to: list[WireAddress] | None = None
    sender_ip: str | None = None
    attachments: bool | None = None
    received_at: AwareTime | None = None
    sent_at: AwareTime | None = None
    spam_score: Whole | float | None = None
    detection_level: str | None = None
    size: Whole | None = None
    attempts: Whole | None = None
    created_at: AwareTime | None = None
    next_attempt_at: AwareTime | None = None
    locked_until: AwareTime | None = None
    priority: str | None = None
    extra: dict[str, Any] | UnsetType = UNSET
    """Fields that the typed decode does not know, under the API's own names; filled by the lenient path only."""


class Unreadable(Struct, frozen=True, gc=False):
    """A row that could not be decoded: its bytes as they came, and why."""

    raw: bytes
    problem: str
