"""The envelope in all its shapes."""

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, TransientError
from mcwatch.mimecast.envelope import Answer, AnswerDecoder, failures_of, looks_like
from mcwatch.mimecast.errors import Failure, HistoryExceeded, TokenExpired


class Row(msgspec.Struct):
    """A row that wants a text."""

    id: str


class Item(msgspec.Struct):
    """An item that wants rows."""

    rows: list[Row]


DECODER = AnswerDecoder(Item)
GOOD = [Item([Row("a")])]
ROWS = b'[{"rows":[{"id":"a"}]}]'
ODD = b'{"rows":[{"id":7}]}'


def test_as_documented() -> None:
    """The documented shape gives items, token and figures."""
    body = b'{"meta":{"status":200,"pagination":{"pageSize":100,"totalCount":137,"next":"eN","previous":"eM"}},"data":'
    assert Answer(GOOD, [], "eN", 137, 100) == DECODER.decode(body + ROWS + b',"fail":[]}')


@pytest.mark.parametrize(
    "meta",
    [
        b'{"status":200}',
        b'{"status":200,"pagination":null}',
        b'{"status":200,"pagination":{}}',
        b'{"status":200,"pagination":{"next":"","totalCount":-1}}',
        b'{"status":200,"pagination":[]}',
        b'{"status":200,"pagination":"none"}',
        b'{"status":200,"pagination":{"next":[7],"totalCount":"many","pageSize":true}}',
        b'{"status":"200"}',
        b'{"status":null}',
        b"null",
        b"[]",
        b'"\xff"',
        b'"\\ud800"',
    ],
)
def test_lenient_meta_keeps_typed_items(meta: bytes) -> None:
    """Whatever meta is like, items that fit are decoded and nothing is invented."""
    assert Answer(GOOD) == DECODER.decode(b'{"meta":' + meta + b',"data":' + ROWS + b"}")


def test_figures_as_text() -> None:
    """Numbers written as text are read."""
    meta = b'{"status":"200","pagination":{"next":"eN","totalCount":"137","pageSize":100.0}}'
    assert Answer(GOOD, [], "eN", 137, 100) == DECODER.decode(b'{"meta":' + meta + b',"data":' + ROWS + b"}")


@pytest.mark.parametrize(
    ("data", "items"), [(b"[]", []), (b"null", []), (b'{"rows":[{"id":"a"}]}', GOOD), (b" [ ] ", [])]
)
def test_shapes_of_data(data: bytes, items: list[Item]) -> None:
    """Data may be a list, null or one object."""
    for fail in (b"[]", b"null", b"{}", b'""'):
        body = b'{"meta":{"status":200},"data":' + data + b',"fail":' + fail + b"}"
        assert Answer(items) == DECODER.decode(body)


def test_missing_data_is_empty_only_with_a_good_status() -> None:
    """An answer without data counts as empty when it says 200, for otherwise anything could be an answer."""
    assert Answer([]) == DECODER.decode(b'{"meta":{"status":200}}')


def test_items_that_do_not_fit_come_raw() -> None:
    """Where one item does not fit its type all come as bytes, with token and figures."""
    body = b'{"meta":{"status":200,"pagination":{"next":"n","totalCount":2}},"data":[' + ODD + b', {"x":"\xff"}]}'
    assert Answer(None, [ODD, b'{"x":"\xff"}'], "n", 2) == DECODER.decode(body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb"\ud800", "\ufffd"),
        (rb"\udc00\ud83d", "\ufffd\ufffd"),
        (rb"\ud83d\ude00", "\U0001f600"),
        (b"a\nb", "a\nb"),
        (b"\x00", "\x00"),
    ],
)
def test_text_that_msgspec_refuses_is_read_with_replacements(text: bytes, expected: str) -> None:
    """Halves of surrogate pairs and control characters in a subject cost nobody a page."""
    assert Answer([Item([Row(expected)])]) == DECODER.decode(b'{"data":[{"rows":[{"id":"' + text + b'"}]}]}')


def test_text_tier_gives_raw_items_as_json() -> None:
    """Items that do not fit in that tier either come as JSON bytes that msgspec reads."""
    answer = DECODER.decode(
        b'{"meta":{"status":200,"pagination":{"next":"n"}},"data":[{"rows":[{"id":7,"n":NaN,"s":"\\ud800"}]}]}'
    )
    assert (None, "n") == (answer.items, answer.next_token)
    assert [{"rows": [{"id": 7, "n": "NaN", "s": "\ufffd"}]}] == [
        msgspec.json.decode(item) for item in answer.raw_items
    ]


def test_byte_order_mark() -> None:
    """A byte order mark before the answer is skipped."""
    assert Answer(GOOD) == DECODER.decode(b'\xef\xbb\xbf{"data":' + ROWS + b"}")


@pytest.mark.parametrize(
    ("body", "looks"),
    [
        (b"", "nothing"),
        (b" \n", "nothing"),
        (b"<!DOCTYPE html><p>hunter2", "HTML or XML"),
        (b"\n <html>", "HTML or XML"),
        (b'{"data":[{"rows":[{"id":"hunter2', "cut or malformed JSON"),
        (b'{"data":[]}}', "cut or malformed JSON"),
        (b'{"data":[]', "cut or malformed JSON"),
        (b"upstream hunter2", "text that is not JSON"),
        (b"\x00\x01\x02", "text that is not JSON"),
        (b"{}", "JSON without the envelope of the API"),
        (b'{"error":"hunter2"}', "JSON without the envelope of the API"),
        (b"[]", "JSON without the envelope of the API"),
        (b'"hunter2"', "JSON without the envelope of the API"),
        (b"null", "JSON without the envelope of the API"),
        (b'{"meta":{"status":200},"data":"hunter2"}', "JSON without a list of data"),
        (b'{"meta":{"status":200},"data":7,"x":"\\ud800"}', "JSON without a list of data"),
        (b'{"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "JSON nested too deeply"),
        (b'{"data":[],"x":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}", "JSON nested too deeply"),
        (b'{"x":"\\ud800","data":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "JSON nested too deeply"),
    ],
)
def test_what_is_no_answer_is_named_and_not_quoted(body: bytes, looks: str) -> None:
    """HTML, cut JSON, bombs and foreign JSON are bad responses told by their looks."""
    with pytest.raises(TransientError) as caught:
        DECODER.decode(body, what="message_finder")
    assert (FailureReason.BAD_RESPONSE, f"message_finder: the answer is {looks}") == (
        caught.value.reason,
        str(caught.value),
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"fail":[{"code":"token_expired","message":"Access token expired"}]}', TokenExpired),
        (b'{"meta":{"status":200},"data":[],"fail":[{"code":"token_expired"}]}', TokenExpired),
        (b'{"meta":{"status":403},"data":[],"fail":[]}', AuthError),
        (b'{"meta":{"status":"403"},"data":[]}', AuthError),
        (
            b'{"data":[],"fail":[{"key":{},"errors":[{"code":"err_track_and_trace_invalid_start_date"}]}]}',
            HistoryExceeded,
        ),
        (b'{"data":' + ROWS + b',"fail":["\\ud800"]}', TransientError),
        (b'{"data":' + ROWS + b',"fail":[null]}', TransientError),
        (b'{"data":' + ROWS + b',"fail":"no"}', TransientError),
    ],
)
def test_failures_inside_a_200(body: bytes, kind: type[McwatchError]) -> None:
    """A non-empty fail or a bad status inside is a failure, whatever data says."""
    with pytest.raises(kind) as caught:
        DECODER.decode(body)
    assert kind is type(caught.value)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b"<html>", []),
        (b"[1]", []),
        (b'{"fail":[{"code":"app_forbidden"}]}', [Failure("app_forbidden")]),
        (b'{"error":"invalid_client","error_description":"no"}', [Failure("invalid_client", "no")]),
        (b'{"error":{"odd":1}}', [Failure()]),
        (b"[" * 50_000, []),
    ],
)
def test_failures_of_refusals(body: bytes, expected: list[Failure]) -> None:
    """Both error bodies of the token endpoint and fail are read from refusals, anything else says nothing."""
    assert expected == failures_of(body)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_decoder(body: bytes) -> None:
    """Any bytes are an answer or one of our errors."""
    for sent in (
        body,
        b'{"data":[' + body + b"]}",
        b'{"meta":{"status":200},"data":[{"rows":[{"id":"' + body + b'"}]}]}',
    ):
        with contextlib.suppress(McwatchError):
            DECODER.decode(sent)
        assert looks_like(sent)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(meta=values, data=values)
def test_items_survive_whatever_surrounds_them(meta: object, data: object) -> None:
    """Unless the answer is a failure, every item comes out, typed or as its own JSON."""
    body = json.dumps({"meta": meta, "data": data}).encode()
    try:
        answer = DECODER.decode(body)
    except McwatchError:
        return
    expected = data if isinstance(data, list) else [data] if data is not None else []
    if answer.items is None:
        assert expected == [json.loads(item) for item in answer.raw_items]
    else:
        assert len(expected) == len(answer.items)
