"""What a rule of a redaction can name, and what each field can have."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from enum import StrEnum


class Action(StrEnum):
    """What happens to a field that does not stay as it is."""

    DROP = "drop"
    HASH = "hash"
    DOMAIN = "domain"


KEEP = "keep"
"""How a configuration says that a field stays."""
_TEXT = frozenset({Action.DROP, Action.HASH, KEEP})
_WHOLE = frozenset({Action.DROP, KEEP})
_ADDRESS = _TEXT | {Action.DOMAIN}
IN_EXTRA = "extra."
"""What stands before a key of ``extra``."""
ADDRESSES = ("from_envelope", "from_header", "to")
FIELDS: Mapping[str, frozenset[str]] = {
    "subject": _TEXT,
    "from_envelope.address": _ADDRESS,
    "from_envelope.name": _TEXT,
    "from_header.address": _ADDRESS,
    "from_header.name": _TEXT,
    "to.address": _ADDRESS,
    "to.name": _TEXT,
    "sender_ip": _TEXT,
    "info": _TEXT,
    "extra": _WHOLE,
    "previous": _WHOLE,
}
"""The fields a rule can name, ``extra.<key>`` aside, and what each can have."""
OWN_NAMES: Mapping[str, Collection[str]] = {
    "id": ("id",),
    "info": ("info",),
    "subject": ("subject",),
    "from_envelope": ("fromenv", "fromenvelope"),
    "from_header": ("fromhdr", "fromheader"),
    "to": ("to",),
    "sender_ip": ("senderip", "remoteip"),
}
"""The API's names, in lower case, for what rules speak of: ``extra`` holds a value under them that did not fit."""


def fault_of(field: str, action: str) -> str | None:
    """Say what is wrong with a rule, and what to write instead; None when nothing is."""
    if field.startswith(IN_EXTRA) and field != IN_EXTRA:
        allowed = _TEXT
    elif field in FIELDS:
        allowed = FIELDS[field]
    elif field in {"id", "key"}:
        return f"{field} is always hashed and cannot be named here; remove it"
    else:
        near = get_close_matches(field, FIELDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(FIELDS)}, extra.<key>"
        return f"{field} is no field that can be redacted; {hint}"
    if action in allowed:
        return None
    why = "domain is for addresses alone" if action == Action.DOMAIN else f"{field} is more than a text"
    return f"{field} cannot have {action}: {why}; choose {' or '.join(sorted(allowed))}"
