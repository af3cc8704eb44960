"""What HEC's answers mean. The code in the body decides, the status only where there is none (protocol notes §4)."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

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

SUCCESS = 0
NO_DATA = 5
INVALID_DATA = 6
INCORRECT_INDEX = 7
BUSY = 9
ACK_DISABLED = 14
CHANNEL_FULL = 27
OF_ONE_EVENT = frozenset({INVALID_DATA, 12, 13, 15})
"""Codes that blame the event named by ``invalid-event-number``."""
_YES = frozenset({SUCCESS, 24, 25})
"""Taken; 24 and 25 come with status 200 and warn that a limit is near."""
_FIRST_NEWER = 23
"""From here on codes say that Splunk is shutting down or at a limit (23, 26, 27) or are not known."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The body of an answer. ``event`` is the number of the event it speaks of, None where it names none."""

    code: int
    text: str
    event: int | None
    ack_id: int | None


@dataclass(frozen=True, slots=True)
class _Meaning:
    what: str
    error: Callable[..., McwatchError]
    reason: FailureReason
    remedy: str = ""


def _credential(what: str, remedy: str) -> _Meaning:
    return _Meaning(what, AuthError, FailureReason.AUTH, remedy)


def _setting(what: str, remedy: str) -> _Meaning:
    return _Meaning(what, MisconfiguredError, FailureReason.MISCONFIGURED, remedy)


def _busy(what: str) -> _Meaning:
    return _Meaning(what, ThrottledError, FailureReason.THROTTLED)


def _later(what: str) -> _Meaning:
    return _Meaning(what, TransientError, FailureReason.SERVER)


def _refused(what: str) -> _Meaning:
    return _Meaning(what, PermanentError, FailureReason.REFUSED)


_DISABLED = _credential("the token is disabled", "enable the token under Data inputs > HTTP Event Collector")
_UNKNOWN_TOKEN = _credential("the token is not known", "check token, and that it exists on every server behind the URL")
_NO_CHANNEL = _setting(
    "it wants a data channel",
    "with ack: false the token must not have indexer acknowledgement enabled; with ack: true something on the way "
    "takes the header X-Splunk-Request-Channel away",
)
_MEANINGS: dict[int, _Meaning] = {
    1: _DISABLED,
    2: _credential("it wants a token", "something on the way takes the Authorization header away"),
    3: _credential("it cannot read the token", "write token as Splunk shows it, without the word Splunk before it"),
    4: _UNKNOWN_TOKEN,
    NO_DATA: _setting("no data arrived", "something on the way takes the body away; try compression: none"),
    INVALID_DATA: _refused("the data is not valid, or too much"),
    INCORRECT_INDEX: _setting(
        "the index does not exist or the token may not write to it",
        "check index and indexes, and the allowed indexes of the token",
    ),
    8: _later("internal error"),
    BUSY: _busy("it is busy"),
    10: _NO_CHANNEL,
    11: _setting("it cannot read the data channel", "something on the way changes the header X-Splunk-Request-Channel"),
    12: _refused("the event field is missing"),
    13: _refused("the event is blank"),
    ACK_DISABLED: _setting(
        "indexer acknowledgement is off",
        "enable indexer acknowledgement for the token, or set ack: false and accept that a crash of Splunk may lose "
        "what it had taken",
    ),
    15: _refused("time or fields are not as they must be"),
    16: _setting("it wants no token in the query", "write url without a query"),
    18: _busy("its queues are full"),
    19: _later("its acknowledgement service is not available"),
    20: _busy("its queues are full and its acknowledgement service is not available"),
    21: _UNKNOWN_TOKEN,
    22: _DISABLED,
    23: _later("it is shutting down"),
    26: _busy("its queue is at capacity"),
    CHANNEL_FULL: _busy("the data channel is at capacity"),
    28: _NO_CHANNEL,
}  # fmt: skip


def reply_of(response: Response) -> Reply | None:
    """Read the body; None when it is not HEC's."""
    document = decoded(response.body)
    code = number(document.get("code"))
    if code is None:
        return None
    return Reply(
        code, str(document.get("text", "")), number(document.get("invalid-event-number")), number(document.get("ackId"))
    )


def is_taken(response: Response, reply: Reply | None) -> bool:
    """Tell whether the answer says yes; status 200 alone is any proxy's."""
    return reply is not None and response.status == HTTPStatus.OK and reply.code in _YES


def error_of(response: Response, peer: str) -> McwatchError:
    """Return what an answer means that does not say yes."""
    reply = reply_of(response)
    by_status = error_for(response, peer)
    if reply is None or response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return by_status or _not_hec(response, peer)
    meaning = _MEANINGS.get(reply.code)
    if meaning is None and by_status and reply.code < _FIRST_NEWER:
        return by_status
    meaning = meaning or _later("a code that is not known")
    message = f"{peer} answered HEC code {reply.code}: {meaning.what}"
    if isinstance(by_status, ThrottledError) and meaning.error in {ThrottledError, TransientError}:
        return ThrottledError(message, retry_after_secs=by_status.retry_after_secs)
    if meaning.error is ThrottledError:
        return ThrottledError(message)
    return meaning.error(message, reason=meaning.reason, remedy=meaning.remedy, detail=reply.text)


def numberless(peer: str) -> McwatchError:
    """Return what a yes means that brings no ackId although acknowledgement is wanted."""
    meaning = _MEANINGS[ACK_DISABLED]
    return MisconfiguredError(f"{peer} takes events without an ackId: {meaning.what}", remedy=meaning.remedy)


def decoded(body: bytes) -> dict[str, Any]:
    """Return a JSON object, empty for anything else."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def number(value: object) -> int | None:
    """Return a whole number from 0 on; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _not_hec(response: Response, peer: str) -> McwatchError:
    """Say what a yes in other words means: a proxy's page, or an answer that broke off."""
    if not response.body or (response.body.lstrip()[:1] == b"{" and not decoded(response.body)):
        return TransientError(f"the answer of {peer} is cut off or empty", reason=FailureReason.BAD_RESPONSE)
    return MisconfiguredError(
        f"{peer} answered {response.status}, but not as a HEC does",
        reason=FailureReason.BAD_RESPONSE,
        remedy="check url: host and port of the HTTP Event Collector, with no web page in between",
        detail=excerpt(response),
    )
