"""Where native fields go in OCSF."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "schema": "metadata.log_version",
        "event_id": "metadata.uid",
        "kind": "metadata.event_code",
        "account": "metadata.tenant_uid",
        "source": "metadata.source",
        "occurred_at": "time",
        "observed_at": "metadata.logged_time",
        "message.id": "metadata.original_event_uid",
        "message.key": "message_trace_uid",
        "message.status": "status_code, status",
        "message.info": "status_detail",
        "message.subject": "email.subject",
        "message.route": "direction",
        "message.from_envelope.address": "from",
        "message.from_envelope.name": "unmapped.message.from_envelope.name",
        "message.from_header.address": "email.from, email.from_mailbox",
        "message.from_header.name": "email.from_mailbox",
        "message.to.address": "email.to, email.to_mailboxes",
        "message.to.name": "email.to_mailboxes",
        "message.sender_ip": "src_endpoint.ip, unmapped.message.sender_ip",
        "message.attachments": "unmapped.message.attachments",
        "message.received_at": "unmapped.message.received_at",
        "message.sent_at": "unmapped.message.sent_at",
        "message.spam_score": "unmapped.message.spam_score",
        "message.detection_level": "unmapped.message.detection_level",
        "message.size": "email.size",
        "message.attempts": "attempt",
        "message.created_at": "unmapped.message.created_at",
        "message.next_attempt_at": "unmapped.message.next_attempt_at",
        "message.locked_until": "unmapped.message.locked_until",
        "message.priority": "unmapped.message.priority",
        "message.extra": "unmapped.message.extra",
        "previous": "unmapped.previous",
        "queue.type": "unmapped.queue.type",
        "queue.first_seen_at": "unmapped.queue.first_seen_at",
        "queue.last_seen_at": "unmapped.queue.last_seen_at",
        "queue.dwell_secs": "unmapped.queue.dwell_secs",
        "queue.polls": "unmapped.queue.polls",
        "queue.visit": "unmapped.queue.visit",
    }
)
"""Where each native field goes; of several places, the first that fits or all of them."""
