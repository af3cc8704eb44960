"""The envelope around every answer (reference notes E): decoded fast when it is as documented, leniently when not.

Three tiers. One typed decode of the whole body; where that does not fit, the parts apart, with the items left as raw
bytes for row-wise decoding; where msgspec cannot parse the text at all (lone surrogates, invalid UTF-8, control
characters in strings), :mod:`mcwatch.domain.tolerant_json`. What no tier can read is a broken
answer and is reported by its looks, never quoted.
"""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from mcwatch.domain import tolerant_json
from mcwatch.domain.errors import FailureReason, TransientError
from mcwatch.mimecast.errors import Failure, error_for, failures_in

T = TypeVar("T")

_NULL = Raw(b"null")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


@dataclass(slots=True)
class Answer(Generic[T]):
    """A successful answer.

    ``items`` is None when the items did not fit their type; ``raw_items`` then holds each as JSON bytes, which may
    still contain invalid UTF-8 inside strings. Figures and token are None when the answer does not give them.
    """

    items: list[T] | None
    raw_items: list[bytes] = field(default_factory=list)
    next_token: str | None = None
    total_count: int | None = None
    page_size: int | None = None


class _Pagination(Struct, gc=False):
    next: str | None = None
    totalCount: int | None = None  # noqa: N815 - the wire name
    pageSize: int | None = None  # noqa: N815 - the wire name


class _Meta(Struct, gc=False):
    status: int
    pagination: _Pagination | None = None


class _Envelope(Struct, Generic[T]):
    data: list[T]
    meta: _Meta | None = None
    fail: list[Raw] = []


class _Parts(Struct):
    meta: Raw = _NULL
    data: Raw = _NULL
    fail: Raw = _NULL


_PARTS = msgspec.json.Decoder(_Parts)
_RAW_ITEMS = msgspec.json.Decoder(list[Raw])
_ANY = msgspec.json.Decoder()


class AnswerDecoder(Generic[T]):
    """Decodes the answers of one endpoint, whose ``data`` holds items of ``item_type``. Make it once, use it often."""

    def __init__(self, item_type: type[T]) -> None:
        self._typed: msgspec.json.Decoder[_Envelope[T]] = msgspec.json.Decoder(
            _Envelope[item_type]  # type: ignore[valid-type]  # a type known at run time only
        )
        self._items: msgspec.json.Decoder[list[T]] = msgspec.json.Decoder(
            list[item_type]  # type: ignore[valid-type]  # as above
        )

    def decode(self, body: bytes, *, what: str = "the API") -> Answer[T]:
        """Read the body of a 2xx answer; ``what`` names the call in errors.

        Raises the error of the table when the answer reports a failure, TransientError (BAD_RESPONSE) when it is no
        answer at all.
        """
        try:
            envelope = self._typed.decode(body)
        except (*_UNREADABLE, RecursionError):
            return self._decode_leniently(body, what)
        meta = envelope.meta
        if envelope.fail or (meta and not 200 <= meta.status < 300):
            return self._decode_leniently(body, what)
        pagination = meta.pagination if meta else None
        if pagination is None:
            return Answer(envelope.data)
        return Answer(
            envelope.data, [], pagination.next or None, _count(pagination.totalCount), _count(pagination.pageSize)
        )

    def _decode_leniently(self, body: bytes, what: str) -> Answer[T]:
        try:
            return self._decode_parts(body, what)
        except RecursionError as error:
            raise _broken(what, "JSON nested too deeply") from error

    def _decode_parts(self, body: bytes, what: str) -> Answer[T]:
        try:
            parts = _PARTS.decode(body)
            meta, fail = _ANY.decode(parts.meta), _ANY.decode(parts.fail)
        except _UNREADABLE:
            return self._decode_text(body, what)
        data = bytes(parts.data)
        _check(meta, fail, has_data=data != b"null", what=what)
        return self._answer(_as_list(data, what), meta)

    def _decode_text(self, body: bytes, what: str) -> Answer[T]:
        envelope = _loads(body, what)
        meta, data = envelope.get("meta"), envelope.get("data")
        _check(meta, envelope.get("fail"), has_data=data is not None, what=what)
        return self._answer(_as_list(tolerant_json.write(data), what), meta)

    def _answer(self, listed: bytes, meta: object) -> Answer[T]:
        try:
            answer = Answer(self._items.decode(listed))
        except (*_UNREADABLE, RecursionError):
            answer = Answer(None, [bytes(item) for item in _RAW_ITEMS.decode(listed)])
        pagination = meta.get("pagination") if isinstance(meta, dict) else None
        if isinstance(pagination, dict):
            answer.next_token = _token(pagination.get("next"))
            answer.total_count = _count(pagination.get("totalCount"))
            answer.page_size = _count(pagination.get("pageSize"))
        return answer


def failures_of(body: bytes) -> list[Failure]:
    """Return what a failed answer says in ``fail`` or, from the token endpoint, in ``error``."""
    try:
        document = tolerant_json.read(body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(document, dict):
        return []
    failures = failures_in(document.get("fail"))
    if not failures and document.get("error"):
        failures = failures_in({"code": document["error"], "message": document.get("error_description")})
    return failures


def looks_like(body: bytes) -> str:
    """Say in a few words what a body that is not a readable answer looks like, without quoting it."""
    start = body[:256].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return "nothing" if not body.strip() else "blanks"
    if start[:1] == b"<":
        return "HTML or XML"
    return "cut or malformed JSON" if start[:1] in b"{[" else "text that is not JSON"


def _as_list(data: bytes, what: str) -> bytes:
    """Return ``data`` as a JSON list: null is none, an object is one item, anything else no answer."""
    if data == b"null":
        return b"[]"
    if data[:1] == b"{":
        return b"[" + data + b"]"
    if data[:1] != b"[":
        raise _broken(what, "JSON without a list of data")
    return data


def _check(meta: object, fail: object, *, has_data: bool, what: str) -> None:
    status = _status(meta)
    failed = status is not None and not 200 <= status < 300
    if fail or failed:
        raise error_for(status or 200, failures_in(fail), what=what)
    if not has_data and status is None:
        raise _broken(what, "JSON without the envelope of the API")


def _status(meta: object) -> int | None:
    return _count(meta.get("status")) if isinstance(meta, dict) else None


def _token(value: object) -> str | None:
    """Read a page token; one written as a number still names a page."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value) or None


def _count(value: object) -> int | None:
    """Read a whole number that may be written as text or with a fraction of zero; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if number >= 0 else None


def _loads(body: bytes, what: str) -> dict[str, Any]:
    try:
        document = tolerant_json.read(body)
    except ValueError as error:
        raise _broken(what, looks_like(body)) from error
    if not isinstance(document, dict):
        raise _broken(what, "JSON without the envelope of the API")
    return document


def _broken(what: str, looks: str) -> TransientError:
    return TransientError(
        f"{what}: the answer is {looks}",
        reason=FailureReason.BAD_RESPONSE,
        remedy="" if "JSON" in looks and "not" not in looks else "check base_url, and any proxy in between",
    )
