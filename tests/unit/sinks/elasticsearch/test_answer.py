"""What a bulk answer means, event by event."""

from typing import Any

import msgspec
import pytest

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
from mcwatch.sinks.elasticsearch.answer import Verdict, is_unknown_parameter, verdict_of

Item = tuple[int, str, str]
_OK: Item = (201, "", "")
_THERE: Item = (409, "version_conflict_engine_exception", "[x]: version conflict, document already exists")
_MAPPING: Item = (400, "document_parsing_exception", "failed to parse field [subject]: 'Kontoauszug'")
_OLD_MAPPING: Item = (400, "mapper_parsing_exception", "failed to parse field [subject]")
_BUSY: Item = (429, "es_rejected_execution_exception", "rejected execution of coordinating operation")
_AWAY: Item = (503, "unavailable_shards_exception", "primary shard is not active")
_FLOOD = "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]"
_BLOCKED: Item = (429, "cluster_block_exception", _FLOOD)
_READ_ONLY: Item = (403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)]")
_NO_INDEX: Item = (404, "index_not_found_exception", "no such index [x]")
_NO_STREAM: Item = (404, "resource_not_found_exception", "[require_data_stream] request flag is [true]")
_NO_PIPELINE: Item = (400, "illegal_argument_exception", "pipeline with id [p] does not exist")
_ONLY_CREATE: Item = (
    400, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams"
)  # fmt: skip
_FORBIDDEN: Item = (403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized")


def _response(body: object, status: int = 200) -> Response:
    return Response(status, {}, body if isinstance(body, bytes) else msgspec.json.encode(body))


def _answered(*items: Item) -> Response:
    entries: list[dict[str, Any]] = []
    for status, kind, reason in items:
        entries.append({"create": {"status": status, **({"error": {"type": kind, "reason": reason}} if kind else {})}})
    return _response({"errors": any(status != 201 for status, _, _ in items), "items": entries})


def _verdict(response: Response, count: int, *, may_summarize: bool = False) -> Verdict:
    return verdict_of(response, count, "http://es.example:9200", "the index mail", may_summarize=may_summarize)


def _error(response: Response, count: int) -> McwatchError:
    with pytest.raises(McwatchError) as failure:
        _verdict(response, count)
    return failure.value


def test_without_errors_all_is_accepted() -> None:
    """As many items as actions and no error: nothing more is looked at."""
    assert Verdict(3) == _verdict(_answered(_OK, _OK, _OK), 3)


def test_what_is_there_already_is_accepted() -> None:
    """A conflict under `create` says that an earlier attempt has arrived."""
    verdict = _verdict(_answered(_THERE, _OK, _THERE), 3)
    assert (verdict.accepted, verdict.refused, verdict.retry) == (3, {}, set())


def test_each_event_has_its_own_verdict() -> None:
    """Verdicts go by position: refused, to be sent again alone, accepted."""
    verdict = _verdict(_answered(_OK, _MAPPING, _BUSY, _THERE, _AWAY, _OLD_MAPPING, _NO_INDEX, _BLOCKED, _OK), 9)
    assert verdict.retry == {2, 4, 7}
    assert verdict.refused == {
        1: Refusal(FailureReason.REFUSED, f"400 {_MAPPING[1]}: {_MAPPING[2]}"),
        5: Refusal(FailureReason.REFUSED, f"400 {_OLD_MAPPING[1]}: {_OLD_MAPPING[2]}"),
        6: Refusal(FailureReason.REFUSED, f"404 {_NO_INDEX[1]}: {_NO_INDEX[2]}"),
    }
    assert verdict.accepted == 3


@pytest.mark.parametrize(
    "item", [(409, "some_other_conflict", "?"), (408, "", ""), (500, "x", "y"), (302, "", ""), (0, "", ""), _READ_ONLY]
)
def test_what_may_pass_is_sent_again(item: Item) -> None:
    """No event is given up for a state of the server, nor taken for accepted on an unknown word."""
    verdict = _verdict(_answered(_OK, item), 2)
    assert (verdict.retry, verdict.refused) == ({1}, {})


@pytest.mark.parametrize(
    ("items", "kind", "words"),
    [
        ((_BUSY, _BUSY), ThrottledError, ""),
        ((_AWAY, _BUSY), TransientError, ""),
        ((_BLOCKED, _BLOCKED), TransientError, "disk space"),
        ((_READ_ONLY, _READ_ONLY), TransientError, "remove the block"),
    ],
)
def test_a_batch_of_which_nothing_is_taken_waits(items: tuple[Item, ...], kind: type[McwatchError], words: str) -> None:
    """A busy or blocked server is no partial success; a write block is no matter of the credential."""
    error = _error(_answered(*items), len(items))
    assert type(error) is kind
    assert words in error.remedy


@pytest.mark.parametrize(
    ("item", "remedy"),
    [
        (_NO_INDEX, "create the index mail or an index template that matches its name"),
        (_NO_STREAM, "create the index mail or an index template that matches its name"),
        (_NO_PIPELINE, "create the ingest pipeline, or correct pipeline"),
        (_ONLY_CREATE, "let nothing in between change the requests: only create is sent"),
        ((400, "index_closed_exception", "closed"), "open the index mail"),
        ((400, "invalid_index_name_exception", "?"), "correct data_stream or index"),
        (
            (400, "validation_exception", "this action would add [2] shards"),
            "see what the server says of the index mail: it can make no further index (shard limit)",
        ),
    ],
)
def test_a_target_that_takes_nothing_is_misconfigured(item: Item, remedy: str) -> None:
    """What every item says of the target is the destination's fault, and no event's."""
    error = _error(_answered(item, item), 2)
    assert isinstance(error, MisconfiguredError)
    assert remedy == error.remedy
    assert item[2] in error.detail
    assert item[2] not in str(error)


def test_refusals_of_documents_name_no_fault_of_the_target() -> None:
    """A mapping that every document fails is left to whoever looks for proof."""
    verdict = _verdict(_answered(_MAPPING, _MAPPING), 2)
    assert (verdict.accepted, set(verdict.refused)) == (0, {0, 1})


@pytest.mark.parametrize("status", [401, 403])
def test_one_item_without_rights_takes_the_destination_down(status: int) -> None:
    """No event is given up for a missing right; the receiver's words stay in the detail."""
    error = _error(_answered(_OK, (status, *_FORBIDDEN[1:])), 2)
    assert isinstance(error, AuthError)
    assert _FORBIDDEN[2] in error.detail
    assert "create_doc" in error.remedy


def test_an_item_too_large_makes_the_batch_smaller() -> None:
    """413 may speak of the events together, so the batch is halved."""
    error = _error(_answered(_OK, (413, "x", "y")), 2)
    assert type(error) is PermanentError
    assert error.reason is FailureReason.TOO_LARGE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>welcome</html>",
        b"{}",
        b'{"errors":false}',
        b'{"errors":false,"items":[{"create":{"status":201}},',
        b'{"errors":true,"items":[{},{}]}',
        b'{"errors":true,"items":[{"create":{}},{"create":{"status":201}}]}',
        b'{"errors":false,"items":[{"create":{"status":201}}]}',
        b'{"errors":false,"items":[]}',
        b'{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":400}}]}',
        b'{"errors":true,"items":[{"create":{"status":201,"error":{"type":"\xff"}}},{"create":{"status":201}}]}',
    ],
)
def test_an_answer_that_does_not_fit_accepts_nothing(body: bytes) -> None:
    """A 200 that is cut, foreign, or speaks of another number of events proves nothing."""
    error = _error(_response(body), 2)
    assert type(error) is TransientError
    assert error.reason is FailureReason.BAD_RESPONSE


@pytest.mark.parametrize(
    ("body", "is_accepted"),
    [
        (b'{"errors":false,"items":[{"create":{"status":201}}]}', True),
        (b'{"errors":false,"items":[]}', False),
        (b'{"errors":true,"items":[{"create":{"status":400}}]}', False),
    ],
)
def test_a_look_alike_may_answer_once_for_all(body: bytes, is_accepted: bool) -> None:
    """Only a success may be summed up, and only by a server known to be neither product."""
    if is_accepted:
        assert Verdict(2) == _verdict(_response(body), 2, may_summarize=True)
    else:
        with pytest.raises(TransientError):
            _verdict(_response(body), 2, may_summarize=True)


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (400, b'{"error":"what?"}', PermanentError, FailureReason.REFUSED),
        (400, b"no json", PermanentError, FailureReason.REFUSED),
        (401, b"", AuthError, FailureReason.AUTH),
        (403, {"error": {"type": "security_exception"}}, AuthError, FailureReason.AUTH),
        (403, {"error": {"type": "cluster_block_exception"}}, TransientError, FailureReason.SERVER),
        (404, {"error": {"type": "index_not_found_exception"}}, MisconfiguredError, FailureReason.MISCONFIGURED),
        (404, b"", MisconfiguredError, FailureReason.MISCONFIGURED),
        (302, b"", MisconfiguredError, FailureReason.MISCONFIGURED),
        (413, b"", PermanentError, FailureReason.TOO_LARGE),
        (429, {"error": {"type": "circuit_breaking_exception"}}, ThrottledError, FailureReason.THROTTLED),
        (429, {"error": {"type": "cluster_block_exception"}}, TransientError, FailureReason.SERVER),
        (500, b"", TransientError, FailureReason.SERVER),
        (503, {"error": {"type": "cluster_block_exception"}}, TransientError, FailureReason.SERVER),
    ],
)
def test_a_status_speaks_for_the_whole_request(
    status: int, body: object, kind: type[McwatchError], reason: FailureReason
) -> None:
    """What is no 2xx has accepted nothing, and says what comes next."""
    error = _error(_response(body, status), 2)
    assert type(error) is kind
    assert error.reason is reason


def test_an_error_given_as_text_is_kept_as_words() -> None:
    """Servers that only resemble Elasticsearch write the error of an item as a string."""
    body = {"errors": True, "items": [{"index": {"status": 400, "error": "no"}}, {"index": {"status": 200}}]}
    assert {0: Refusal(FailureReason.REFUSED, "400 no")} == _verdict(_response(body), 2).refused


def test_long_words_are_cut() -> None:
    """A dead letter keeps the beginning of a long reason."""
    verdict = _verdict(_answered((400, "x", "y" * 4000), _OK), 2)
    assert len(verdict.refused[0].detail) < 600


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"error":{"reason":"request contains unrecognized parameter: [require_data_stream]"}}', True),
        (400, b'{"error":{"reason":"request contains unrecognized parameter: [pipeline]"}}', False),
        (404, b'{"error":{"reason":"[require_data_stream] request flag is [true]"}}', False),
    ],
)
def test_a_server_that_lacks_a_parameter_is_noticed(status: int, body: bytes, expected: bool) -> None:
    """An older node of the same cluster answers so."""
    assert expected is is_unknown_parameter(Response(status, {}, body), "require_data_stream")
