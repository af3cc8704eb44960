"""What an answer says of each event."""

import json

import pytest

from mcwatch.domain.delivery import Refusal, Verdicts
from mcwatch.domain.errors import FailureReason, MisconfiguredError, PermanentError, ThrottledError
from mcwatch.httpclient.client import Response
from mcwatch.sinks.splunk_hec.verdicts import before_wrong_index, partial


def _said(code: int, event: object = None, status: int = 400) -> Response:
    document = {"text": "t", "code": code} | ({} if event is None else {"invalid-event-number": event})
    return Response(status, {}, json.dumps(document).encode())


@pytest.mark.parametrize("code", [6, 12, 13, 15])
@pytest.mark.parametrize("event", [1, 2, 4])
def test_the_event_named_is_refused_and_the_others_go_their_ways(code: int, event: int) -> None:
    """Those before it are accepted, unless a number would have to come for them; those behind it go again."""
    plain = partial(_said(code, event), "p", 5, has_ack=False)
    acknowledged = partial(_said(code, event), "p", 5, has_ack=True)
    assert [event] == list(plain.refused) == list(acknowledged.refused)
    assert frozenset(range(event + 1, 5)) == plain.retry
    assert frozenset(range(5)) - {event} == acknowledged.retry
    assert plain.receipt is acknowledged.receipt is None


@pytest.mark.parametrize("code", [12, 13, 15])
def test_the_first_event_may_be_named(code: int) -> None:
    """These codes are about an event; the receiver's words stand in the refusal."""
    verdicts = partial(_said(code, 0), "p", 2, has_ack=False)
    assert frozenset({1}) == verdicts.retry
    assert isinstance(verdicts.refused[0], Refusal)
    assert verdicts.refused[0].detail.endswith(": t")


@pytest.mark.parametrize("has_ack", [True, False])
def test_invalid_data_at_the_first_event_halves_the_batch(has_ack: bool) -> None:
    """It is what Splunk Cloud says of too much; the event is to blame only once it stands alone."""
    with pytest.raises(PermanentError) as many:
        partial(_said(6, 0), "p", 2, has_ack=has_ack)
    with pytest.raises(PermanentError) as one:
        partial(_said(6, 0), "p", 1, has_ack=has_ack)
    assert (FailureReason.TOO_LARGE, FailureReason.REFUSED) == (many.value.reason, one.value.reason)
    assert "t" == many.value.detail == one.value.detail


@pytest.mark.parametrize("event", [None, 5, 6, 10**30, -1, "1", 1.5, True, [1]])
@pytest.mark.parametrize("code", [6, 12, 13, 15])
def test_a_number_that_is_none_of_the_batch_names_nobody(code: int, event: object) -> None:
    """The batch is refused without a name, and halving finds out."""
    with pytest.raises(PermanentError) as failure:
        partial(_said(code, event), "p", 5, has_ack=False)
    assert PermanentError is failure.type
    assert FailureReason.REFUSED is failure.value.reason


def test_a_busy_server_has_indexed_what_comes_before() -> None:
    """Code 9 names the first event that it did not take."""
    assert Verdicts(retry=frozenset({2, 3, 4})) == partial(_said(9, 2, 503), "p", 5, has_ack=False)


@pytest.mark.parametrize(
    ("event", "has_ack"), [(0, False), (None, False), (5, False), (-2, False), ("2", False), (2, True)]
)
def test_a_busy_server_that_names_nothing_useful_has_taken_nothing(event: object, has_ack: bool) -> None:
    """All goes again later; with ack always, for no number came."""
    with pytest.raises(ThrottledError):
        partial(_said(9, event, 503), "p", 5, has_ack=has_ack)


@pytest.mark.parametrize("code", [1, 4, 7, 10, 14])
def test_what_parks_blames_no_event(code: int) -> None:
    """Even where it names one."""
    with pytest.raises(PermanentError) as failure:
        partial(_said(code, 2), "p", 5, has_ack=False)
    assert failure.type is not PermanentError
    assert issubclass(failure.type, PermanentError)


def test_413_halves_whatever_it_says() -> None:
    """A too large body is no event's fault."""
    with pytest.raises(PermanentError) as failure:
        partial(_said(6, 3, 413), "p", 5, has_ack=False)
    assert FailureReason.TOO_LARGE is failure.value.reason


@pytest.mark.parametrize(("event", "indexed"), [(1, 0), (2, 1), (5, 4), (0, 0), (6, 0), (-1, 0), ("2", 0), (None, 0)])
def test_a_wrong_index_is_named_one_higher(event: object, indexed: int) -> None:
    """Code 7 alone counts from one; a number beyond the batch says nothing."""
    assert indexed == before_wrong_index(_said(7, event), 5)
    assert 0 == before_wrong_index(_said(6, event), 5)
    with pytest.raises(MisconfiguredError):
        partial(_said(7, event), "p", 5, has_ack=False)
