"""The API functions mcwatch calls, and how it writes times to them."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Self


class Endpoint(StrEnum):
    """An API function; the value is its label in metrics and logs."""

    path: str

    def __new__(cls, label: str, path: str) -> Self:
        """Make a member that is its label and knows its path."""
        member = str.__new__(cls, label)
        member._value_ = label
        member.path = path
        return member

    TOKEN = "token", "/oauth/token"
    LOGIN = "login", "/api/login/login"
    PROCESSING_QUEUE = "processing_queue", "/api/gateway/find-processing-messages"
    MESSAGE_FINDER = "message_finder", "/api/message-finder/search"
    INTERNAL_DOMAINS = "internal_domains", "/api/domain/get-internal-domain"


def api_time(moment: datetime) -> str:
    """Write an aware moment as the API reads it: whole seconds, UTC, ``+0000`` without a colon (notes F)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
