"""Whatever a client sends, the functions answer or refuse; nothing else comes out."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mcwatch.simulator import AccountConfig, SimulatorConfig
from mcwatch.simulator.envelope import Call, RefusedError, read_call
from mcwatch.simulator.functions import Endpoint, Functions
from mcwatch.simulator.times import from_api, from_mc_date, to_api

NOW = 1_767_605_400.0
KEYS = ("start", "end", "messageId", "advancedTrackAndTraceOptions", "route", "status", "attachments", "type", "sortBy",
        "sortOrder", "searchBy", "filterBy", "from", "to", "fieldName", "value", "subject", "other")  # fmt: skip
TEXTS = (
    "", " ", "processing", "corp.example", "ALL", "2026-01-05T09:00:00+0000", "2026-01-05T09:00:00Z",
    "2026-13-45T99:99:99+9999", "0001-01-01T00:00:00+2359",
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.sampled_from(TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5)
FUNCTIONS = Functions(SimulatorConfig(history_secs=60.0), AccountConfig(), NOW)


@settings(max_examples=50, deadline=None)
@given(endpoint=st.sampled_from(["queue", "finder", "domains"]), item=ITEMS)
def test_any_item_is_answered(endpoint: Endpoint, item: dict[str, Any]) -> None:
    """Each item yields rows or a failure with a code, never an exception."""
    (answer,) = FUNCTIONS.answers(endpoint, Call((item,), None, None), NOW)
    assert bool(answer.codes()) != (answer.status == 200 and not answer.fail)
    assert answer.encode()


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=20))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """A body is read, or refused with 400."""
    try:
        status = 200 if read_call(body, one_item_only=False).items else 0
    except RefusedError as refused:
        status = refused.status
    assert status in {200, 400}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 4_000_000_000))
def test_times_read_back(at: int) -> None:
    """A time as the API writes it is read as the same instant."""
    assert from_api(to_api(at)) == at


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="0123456789-:TZ+ ,.MonJaUTCG", max_size=32) | st.sampled_from(TEXTS))
def test_any_text_is_a_time_or_none(text: str) -> None:
    """No text breaks the reading of times."""
    assert {type(from_api(text)), type(from_mc_date(text))} <= {float, type(None)}
