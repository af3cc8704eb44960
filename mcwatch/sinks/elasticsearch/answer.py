"""The answer to a bulk request, and what it means for each event (Elasticsearch reference, Bulk API). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from mcwatch.domain.delivery import Refusal
from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    ThrottledError,
    TransientError,
)
from mcwatch.httpclient.client import Response
from mcwatch.httpclient.statuses import error_for, excerpt

_WORDS = 512
_CONFLICTS = {"", "version_conflict_engine_exception", "document_already_exists_exception"}
_BLOCK = "cluster_block_exception"
_BLOCK_REMEDY = (
    "the index is blocked for writing: free disk space (flood-stage watermark) or remove the block; it is tried again"
)
_RIGHTS_REMEDY = "grant the credential the index privilege create_doc, and auto_configure where the target is missing"

_MISSING = "create {target} or an index template that matches its name"
_TARGET_FAULTS = {
    "index_not_found_exception": _MISSING,
    "resource_not_found_exception": _MISSING,
    "index_closed_exception": "open {target}",
    "invalid_index_name_exception": "correct data_stream or index",
    "invalid_alias_name_exception": "correct data_stream or index",
    "validation_exception": "see what the server says of {target}: it can make no further index (shard limit)",
}
"""Error types that speak of the target, never of a document."""
_TARGET_FAULT_WORDS = (
    ("pipeline with id", "create the ingest pipeline, or correct pipeline"),
    ("no write index is defined", "name a write index for the alias"),
    ("op_type of create", "let nothing in between change the requests: only create is sent"),
)
"""The same for illegal_argument_exception, which also speaks of documents."""


class _Error(msgspec.Struct, gc=False):
    type: str | None = None
    reason: str | None = None


class _Item(msgspec.Struct, gc=False):
    status: int
    error: _Error | str | None = None


class _Summary(msgspec.Struct):
    errors: bool
    items: list[msgspec.Raw]


class _Answer(msgspec.Struct):
    items: list[dict[str, _Item]]


class _Failure(msgspec.Struct):
    error: _Error | str | None = None


_SUMMARIES = msgspec.json.Decoder(_Summary)
_ANSWERS = msgspec.json.Decoder(_Answer)
_FAILURES = msgspec.json.Decoder(_Failure)


@dataclass(slots=True)
class Verdict:
    """What a request came to, event by event; whatever is in neither mapping was accepted.

    ``faults`` says for each refused event what is to be mended at the target, empty where the event is at fault.
    """

    count: int
    refused: dict[int, Refusal] = field(default_factory=dict)
    retry: set[int] = field(default_factory=set)
    faults: set[str] = field(default_factory=set)
    is_blocked: bool = False
    is_throttled: bool = True

    @property
    def accepted(self) -> int:
        """How many events the receiver has."""
        return self.count - len(self.refused) - len(self.retry)


def verdict_of(response: Response, count: int, what: str, target: object, *, may_summarize: bool = False) -> Verdict:
    """Read the answer to ``count`` actions.

    ``what`` names the server and ``target`` the index for messages. ``may_summarize`` lets a server that only resembles
    Elasticsearch say once for all events that there was no error. Raises what the status or the items mean for the
    destination as a whole, with nothing accepted: TransientError, ThrottledError, AuthError, MisconfiguredError, and
    PermanentError (TOO_LARGE).
    """
    error = _whole_error(response, what, target)
    if error:
        raise error
    try:
        summary = _SUMMARIES.decode(response.body)
        items = None if not summary.errors else _ANSWERS.decode(response.body).items
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Not as its cause: that may quote the answer, which may quote mail.
        raise _unreadable(f"{what} answered {response.status} with something that is no bulk answer") from None
    expected = bool(summary.items) if items is None and may_summarize else len(summary.items) == count
    if not expected:
        raise _unreadable(f"{what} answered for {len(summary.items)} events instead of {count}")
    return Verdict(count) if items is None else _judged(items, what, target)


def is_unknown_parameter(response: Response, name: str) -> bool:
    """Return whether the request was refused because the server does not know a parameter."""
    return response.status == 400 and b"unrecognized parameter" in response.body and name.encode() in response.body


def _judged(items: Sequence[dict[str, _Item]], what: str, target: object) -> Verdict:
    verdict = Verdict(len(items))
    for index, entry in enumerate(items):
        item = next(iter(entry.values()), None)
        if item is None:
            raise _unreadable(f"{what} answered with an item that says nothing")
        if not 200 <= item.status < 300:
            _judge(verdict, index, item, what)
    if len(verdict.refused) == verdict.count and verdict.faults and "" not in verdict.faults:
        raise MisconfiguredError(
            f"{what} cannot write to {target}",
            remedy=min(verdict.faults).format(target=target),
            detail=next(iter(verdict.refused.values())).detail,
        )
    if len(verdict.retry) == verdict.count:
        raise _busy(verdict, what)
    return verdict


def _judge(verdict: Verdict, index: int, item: _Item, what: str) -> None:
    status, kind = item.status, _kind(item.error)
    if status == 409 and kind in _CONFLICTS:
        return
    detail = _words(item.error)
    if kind == _BLOCK or status in {408, 409, 429} or not 400 <= status < 500:
        verdict.retry.add(index)
        verdict.is_blocked |= kind == _BLOCK
        verdict.is_throttled &= status == 429
    elif status in {401, 403}:
        raise AuthError(f"{what} refuses to let this credential write", remedy=_RIGHTS_REMEDY, detail=detail)
    elif status == 413:
        raise PermanentError(f"{what} answered {status} for an event", reason=FailureReason.TOO_LARGE, detail=detail)
    else:
        verdict.refused[index] = Refusal(FailureReason.REFUSED, f"{status} {detail}".strip())
        verdict.faults.add(_fault(kind, detail))


def _fault(kind: str, detail: str) -> str:
    if kind == "illegal_argument_exception":
        return next((remedy for words, remedy in _TARGET_FAULT_WORDS if words in detail), "")
    return _TARGET_FAULTS.get(kind, "")


def _busy(verdict: Verdict, what: str) -> McwatchError:
    if verdict.is_blocked:
        return TransientError(f"{what} takes no writes at the moment", remedy=_BLOCK_REMEDY)
    if verdict.is_throttled:
        return ThrottledError(f"{what} is too busy to take any of the events")
    return TransientError(f"{what} could not store any of the events")


def _whole_error(response: Response, what: str, target: object) -> McwatchError | None:
    """Read a status that speaks of the request as a whole."""
    error = error_for(response, what)
    if error is None:
        return None
    try:
        failure = _FAILURES.decode(response.body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return error
    kind = _kind(failure)
    if kind == _BLOCK:
        return TransientError(f"{what} takes no writes at the moment", remedy=_BLOCK_REMEDY, detail=excerpt(response))
    remedy = _fault(kind, _words(failure)) if response.status in {400, 404} else ""
    if remedy:
        return MisconfiguredError(
            f"{what} cannot write to {target}", remedy=remedy.format(target=target), detail=excerpt(response)
        )
    return error


def _kind(error: _Error | str | None) -> str:
    return (error.type or "") if isinstance(error, _Error) else ""


def _words(error: _Error | str | None) -> str:
    """Return type and reason as a dead letter quotes them."""
    if isinstance(error, _Error):
        return ": ".join(filter(None, (error.type, error.reason)))[:_WORDS]
    return (error or "")[:_WORDS]


def _unreadable(text: str) -> TransientError:
    return TransientError(
        text, reason=FailureReason.BAD_RESPONSE, remedy="check that the URL leads to Elasticsearch or OpenSearch itself"
    )
