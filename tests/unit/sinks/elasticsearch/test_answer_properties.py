"""What holds for every bulk answer."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.errors import AuthError, MisconfiguredError, PermanentError, TransientError
from mcwatch.httpclient.client import Response
from mcwatch.sinks.elasticsearch.answer import verdict_of

_KINDS = st.sampled_from(
    [
        "",
        "version_conflict_engine_exception",
        "document_parsing_exception",
        "cluster_block_exception",
        "index_not_found_exception",
        "illegal_argument_exception",
    ]
)
_ITEMS = st.lists(
    st.tuples(st.sampled_from([200, 201, 400, 401, 403, 404, 409, 413, 429, 500, 503]), _KINDS), min_size=1
)


def _response(items: list[tuple[int, str]]) -> Response:
    entries = [{"create": {"status": status, "error": {"type": kind}}} for status, kind in items]
    return Response(200, {}, msgspec.json.encode({"errors": any(one != 201 for one, _ in items), "items": entries}))


@given(_ITEMS)
def test_each_event_has_one_fate(items: list[tuple[int, str]]) -> None:
    """Accepted is only what was written or is there already; an error of the whole has a cause among the items."""
    statuses = {status for status, _ in items}
    try:
        verdict = verdict_of(_response(items), len(items), "es", "the index mail")
    except AuthError:
        assert statuses & {401, 403}
    except MisconfiguredError:
        assert statuses <= {400, 404}
    except PermanentError:
        assert 413 in statuses
    except TransientError:
        assert not statuses & {200, 201}
    else:
        assert not verdict.retry & set(verdict.refused)
        for index, (status, _) in enumerate(items):
            is_accepted = index not in verdict.retry and index not in verdict.refused
            assert not is_accepted or status in {200, 201, 409}
            assert index not in verdict.refused or status in {400, 404}


@given(st.binary(max_size=200))
def test_no_bytes_are_an_acceptance_by_chance(body: bytes) -> None:
    """Whatever is answered instead of a bulk answer accepts nothing."""
    try:
        verdict_of(Response(200, {}, body), 1, "es", "the index mail")
    except TransientError:
        return
    raise AssertionError(body)
