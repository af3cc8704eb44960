"""JSON that is hardly JSON."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain import tolerant_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Gr\xfc\xdfe \xff", "Gr\ufffd\ufffde \ufffd"),
        (rb"half \ud83d", "half \ufffd"),
        (rb"half \ude00 \ud83d", "half \ufffd \ufffd"),
        (rb"whole \ud83d\ude00", "whole \U0001f600"),
        (b"tab\tnew\nline\x00", "tab\tnew\nline\x00"),
    ],
)
def test_spoilt_text(raw: bytes, text: str) -> None:
    """Invalid UTF-8 and halves of surrogate pairs become U+FFFD; control characters stay."""
    assert [text] == msgspec.json.decode(tolerant_json.write(tolerant_json.read(b'["' + raw + b'"]')))


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"1e999", "1e999"),
        (b"-1e999", "-1e999"),
        (b"NaN", "NaN"),
        (b"-Infinity", "-Infinity"),
        (b"9" * 41, "9" * 41),
        (b"9" * 5000, "9" * 5000),
        (b"9" * 40, int("9" * 40)),
        (b"-7", -7),
        (b"1.5", 1.5),
    ],
)
def test_numbers_nothing_can_hold_are_text(raw: bytes, kept: object) -> None:
    """A number that is not finite, or absurdly long, is kept as it is written."""
    assert [kept] == tolerant_json.read(b"[" + raw + b"]")


def test_a_byte_order_mark_is_skipped() -> None:
    """It stands before the JSON and is none of it."""
    assert [1] == tolerant_json.read(b"\xef\xbb\xbf[1]")


@pytest.mark.parametrize("raw", [b"", b"{", b"<html>", b"[1] [2]"])
def test_what_is_no_json(raw: bytes) -> None:
    """Tolerance ends where the structure does."""
    with pytest.raises(json.JSONDecodeError):
        tolerant_json.read(raw)


def test_what_is_nested_too_deeply() -> None:
    """A bomb is refused by its depth."""
    with pytest.raises(RecursionError):
        tolerant_json.read(b"[" * 100_000 + b"]" * 100_000)


@given(VALUES)
def test_good_json_is_read_as_it_is(value: object) -> None:
    """What any reader reads is read alike, and written so that it reads alike."""
    raw = json.dumps(value).encode()
    assert json.loads(raw) == json.loads(tolerant_json.write(tolerant_json.read(raw)))
