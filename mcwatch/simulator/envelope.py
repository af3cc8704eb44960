"""The envelope of requests and answers, and the two shapes of failure (reference notes §E)."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from mcwatch.simulator.ledger import Sighting

Item = dict[str, Any]
Fail = dict[str, Any]

MALFORMED: Final = "err_validation_null"
NOT_ALLOWED: Final = "err_validation_value_not_allowed"


class RefusedError(Exception):
    """The call fails with a code of Mimecast's; one item of it if raised for an item."""

    def __init__(self, status: int, code: str, message: str, field_name: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field_name = field_name

    def nested(self, key: Item | None = None) -> Fail:
        """Word the failure of a function, as API 1.0 and functions of either API do."""
        error: Fail = {"code": self.code, "message": self.message, "retryable": False}
        if self.field_name is not None:
            error["field"] = self.field_name
        return {"errors": [error]} if key is None else {"key": key, "errors": [error]}

    def flat(self) -> Fail:
        """Word the failure of the 2.0 gateway."""
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True, slots=True)
class Call:
    """A request's body, read: the items and the paging asked for."""

    items: tuple[Item, ...]
    page_size: int | None
    page_token: str | None


@dataclass(slots=True)
class Answer:
    """What an endpoint says, before it is encoded; faults change it here."""

    data: list[object] = field(default_factory=list)
    fail: list[Fail] = field(default_factory=list)
    pagination: dict[str, object] | None = None
    status: int = 200
    rows: list[object] | None = None
    """The list of rows inside `data`, or `data` itself where rows stand there; None where there is none."""
    sightings: list[Sighting] = field(default_factory=list)

    def codes(self) -> tuple[str, ...]:
        """List the codes of what failed."""
        return tuple(str(error["code"]) for failed in self.fail for error in failed["errors"])

    def encode(self) -> bytes:
        """Write the answer as JSON."""
        meta: dict[str, object] = {"status": self.status}
        if self.pagination is not None:
            meta["pagination"] = self.pagination
        return msgspec.json.encode({"meta": meta, "data": self.data, "fail": self.fail})


def read_call(body: bytes, *, one_item_only: bool) -> Call:
    """Read a request; unknown keys are ignored (reference notes §E).

    Raises RefusedError when it is no JSON object with a `data` list, or when 2.0 gets other than one item.
    """
    try:
        content = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise RefusedError(400, MALFORMED, "The body is not JSON") from error
    items = content.get("data") if isinstance(content, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise RefusedError(400, MALFORMED, "data must be a list of objects", "data")
    if one_item_only and len(items) != 1:
        raise RefusedError(400, NOT_ALLOWED, "data must hold exactly one item", "data")
    size, token = _paging(content.get("meta"))
    return Call(tuple(items), size, token)


def text_field(item: Item, name: str) -> str | None:
    """Return an optional text; raises RefusedError when it is blank or no text."""
    value = item.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise RefusedError(400, NOT_ALLOWED, f"{name} must be text", name)
    if not value.strip():
        raise RefusedError(400, "err_validation_blank", f"{name} must not be blank", name)
    return value


def _paging(meta: object) -> tuple[int | None, str | None]:
    pagination = meta.get("pagination") if isinstance(meta, dict) else None
    if not isinstance(pagination, dict):
        return None, None
    size, token = pagination.get("pageSize"), pagination.get("pageToken")
    return (size if isinstance(size, int) and size > 0 else None), (token if isinstance(token, str) else None)
