"""Makes a JSON document of any shape shorter: what takes most room goes first, what identifies it stays. Pure."""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

encode = msgspec.json.encode
Document = dict[str, Any]

_KEPT = re.compile(r"(?:.*[_.])?(?:id|uid|key|at|kind|schema|version|account|time|timestamp)|@timestamp")
"""Members that say which event it is, when it was and how to read it: ``event_id``, ``class_uid``, ``ecs.version``."""
_EXTRA = re.compile(r"(?:.*_)?extra")  # what the API said and nobody knows: the least telling
_LONGEST_KEPT_BYTES = 1024  # an id is not longer, whatever it is called
_STUMP_BYTES = 256  # of a long text or list so much stays, until even that is too much
_DEPTH = 4  # members of members this far down are looked at one by one


@dataclass(slots=True)
class _Member:
    """One member that may go, and how many bytes its value takes; 0 once it is gone."""

    owner: Document
    name: str
    size_bytes: int

    def shrink(self, excess_bytes: int, stump_bytes: int) -> int:
        """Free ``excess_bytes`` if it can, and return how many it did, or fewer.

        A text or list keeps its beginning, and ``stump_bytes`` of it in any case.
        """
        before_bytes = self.size_bytes
        if before_bytes <= stump_bytes:
            return 0
        shortened = _shortened(self.owner[self.name], max(before_bytes - excess_bytes, stump_bytes))
        if not shortened:
            del self.owner[self.name]
            self.size_bytes = 0
            return before_bytes + len(encode(self.name)) + len(":")
        self.owner[self.name] = shortened
        self.size_bytes = len(encode(shortened))
        return before_bytes - self.size_bytes


def clip_document(document: Document, limit_bytes: int) -> bytes | None:
    """Return the document, marked as truncated, in at most ``limit_bytes``; None when what must stay is longer."""
    document["truncated"] = True
    excess_bytes = len(encode(document)) - limit_bytes
    members = sorted(
        _members(document, _DEPTH), key=lambda member: (not _EXTRA.fullmatch(member.name), -member.size_bytes)
    )
    for stump_bytes in (_STUMP_BYTES, 0):
        for member in members:
            if excess_bytes <= 0:
                break
            excess_bytes -= member.shrink(excess_bytes, stump_bytes)
    encoded = encode(document)
    return encoded if len(encoded) <= limit_bytes else None


def beginning(text: str, room_bytes: int) -> str:
    """Return the longest beginning whose JSON string has at most ``room_bytes``."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(encode(text[:middle])) <= room_bytes:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _shortened(value: object, room_bytes: int) -> str | list[Any]:
    """Return the beginning of a text or list that takes at most ``room_bytes``; nothing where there is none."""
    if isinstance(value, str):
        return beginning(value, room_bytes)
    if not isinstance(value, list):
        return ""
    left_bytes = room_bytes - len("[]")
    for count, item in enumerate(value):
        left_bytes -= len(encode(item)) + (len(",") if count else 0)
        if left_bytes < 0:
            return value[:count]
    return value


def _members(document: Document, depth: int) -> list[_Member]:
    found: list[_Member] = []
    for name, value in document.items():
        if isinstance(value, dict) and value and depth > 1 and not _EXTRA.fullmatch(name):
            found += _members(value, depth - 1)
            continue
        size_bytes = len(encode(value))
        if name != "truncated" and not (_KEPT.fullmatch(name) and size_bytes <= _LONGEST_KEPT_BYTES):
            found.append(_Member(document, name, size_bytes))
    return found
