"""The attributes of Email Activity (4009) that are filled, in the order written; None is left out."""

from typing import Any

import msgspec
from msgspec import Struct

from mcwatch.formats.base import NativeStay


class Metadata(Struct, omit_defaults=True, gc=False):
    """Of the event itself."""

    version: str
    product: msgspec.Raw
    uid: str
    event_code: str
    tenant_uid: str
    source: str
    log_version: str
    logged_time: int
    original_event_uid: str | None = None
    profiles: msgspec.Raw | None = None


class Email(Struct, omit_defaults=True, gc=False, rename={"from_": "from"}):
    """The object ``email``."""

    from_: str | None = None
    from_mailbox: str | None = None
    to: list[str] | None = None
    to_mailboxes: list[str] | None = None
    subject: str | None = None
    size: int | None = None


class Endpoint(Struct, gc=False):
    """The object ``network_endpoint``, of which only the address is known."""

    ip: str


class Name(Struct, gc=False):
    """A display name without an address."""

    name: str


class Rest(Struct, omit_defaults=True, gc=False):
    """What the class has no attribute for, under its native name."""

    from_envelope: Name | None = None
    sender_ip: str | None = None
    attachments: bool | None = None
    received_at: str | None = None
    sent_at: str | None = None
    spam_score: int | float | None = None
    detection_level: str | None = None
    created_at: str | None = None
    next_attempt_at: str | None = None
    locked_until: str | None = None
    priority: str | None = None
    extra: dict[str, Any] | None = None


class Unmapped(Struct, omit_defaults=True, gc=False):
    """The object ``unmapped``."""

    message: Rest | None = None
    previous: dict[str, Any] | None = None
    queue: NativeStay | None = None


class Activity(Struct, omit_defaults=True, gc=False, rename={"from_": "from"}):
    """One event of class 4009."""

    activity_id: int
    category_uid: int
    class_uid: int
    type_uid: int
    time: int
    severity_id: int
    direction_id: int
    metadata: Metadata
    email: Email
    direction: str | None = None
    status_id: int | None = None
    status: str | None = None
    status_code: str | None = None
    status_detail: str | None = None
    action_id: int | None = None
    disposition_id: int | None = None
    disposition: str | None = None
    attempt: int | None = None
    from_: str | None = None
    message_trace_uid: str | None = None
    src_endpoint: Endpoint | None = None
    unmapped: Unmapped | None = None
