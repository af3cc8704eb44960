"""What an answer to a batch says of each of its events.

HEC takes the objects of a body one after the other and stops at the first that it cannot take. Those before it *are*
indexed; but with indexer acknowledgement no number came for them, so that nobody will ever know, and they go again.
"""

from http import HTTPStatus

from mcwatch.domain.delivery import Refusal, Verdicts
from mcwatch.domain.errors import FailureReason, PermanentError
from mcwatch.httpclient.client import Response
from mcwatch.sinks.splunk_hec.codes import BUSY, INCORRECT_INDEX, INVALID_DATA, OF_ONE_EVENT, error_of, reply_of


def partial(response: Response, peer: str, size: int, *, has_ack: bool) -> Verdicts:
    """Return the verdicts of an answer that did not say yes to a batch of ``size``; raise it where it names no event.

    Names beyond the batch are no names.
    """
    reply = reply_of(response)
    error = error_of(response, peer)
    if reply is None or response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        raise error
    if reply.code == INVALID_DATA and reply.event == 0:
        # So says Splunk Cloud when the whole is too large for it (protocol notes §4). It may be a bad event as well:
        # halving finds out, and one that stands alone and is still refused is that.
        raise error if size == 1 else PermanentError(str(error), reason=FailureReason.TOO_LARGE, detail=error.detail)
    if reply.event is None or reply.event >= size:
        raise error
    if reply.code in OF_ONE_EVENT:
        refusal = Refusal(FailureReason.REFUSED, f"{error}: {reply.text}")
        again = range(size) if has_ack else range(reply.event, size)
        return Verdicts(refused={reply.event: refusal}, retry=frozenset(again) - {reply.event})
    if reply.code == BUSY and reply.event and not has_ack:
        return Verdicts(retry=frozenset(range(reply.event, size)))
    raise error


def before_wrong_index(response: Response, size: int) -> int:
    """Return how many events of the batch an answer about a wrong index says were indexed; 0 for any other answer.

    This code alone names the event one higher (protocol notes §4).
    """
    reply = reply_of(response)
    if reply is None or reply.code != INCORRECT_INDEX or reply.event is None or not 0 < reply.event <= size:
        return 0
    return reply.event - 1
