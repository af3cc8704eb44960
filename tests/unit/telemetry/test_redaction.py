"""Secrets, control characters and length: the second line of defence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.option_types import Secret
from mcwatch.telemetry.redaction import MASK, MAX_CHARS, neutral, redact, without_secrets


def _redacted(**fields: object) -> dict[str, object]:
    return dict(redact(None, "info", dict(fields)))


@pytest.mark.parametrize(
    "key",
    ["authorization", "Authorization", "token", "access_token", "client_secret", "password", "api_key", "app-key",
     "x-api-key", "Set-Cookie", "credentials", "secret_key"],
)  # fmt: skip
def test_values_under_secret_names_are_masked(key: str) -> None:
    """However the name is spelt, at the top and nested."""
    assert _redacted(**{key: "planted", "headers": {key: ["planted"]}}) == {key: MASK, "headers": {key: MASK}}


@pytest.mark.parametrize("key", ["token_expires_at", "keys", "monkey", "page", "secretary"])
def test_other_names_keep_their_values(key: str) -> None:
    """Names that only resemble secrets are shown."""
    assert _redacted(**{key: "shown"}) == {key: "shown"}


def test_a_secret_object_is_masked_anywhere() -> None:
    """Also where its name does not say what it is."""
    assert _redacted(value=Secret("planted"), many=[Secret("planted")]) == {"value": MASK, "many": [MASK]}


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer planted-secret-value",
        "auth Splunk planted-secret-value failed",
        "MC planted:secret/value==",
        "proxy http://user:planted@proxy.example:3128",
        "POST client_secret=planted&grant_type=x",
        '{"access_token": "planted-secret"}',
    ],
)
def test_credentials_inside_texts_are_masked(text: str) -> None:
    """Shapes that libraries quote do not get through."""
    assert "planted" not in without_secrets(text)


def test_a_traceback_keeps_its_lines_but_not_its_dangers() -> None:
    """Line ends of the exception field are meant; escapes and credentials are not."""
    text = "Traceback\n  File x\nValueError: \x1b[2J Bearer planted-secret"

    assert _redacted(exception=text) == {"exception": f"Traceback\n  File x\nValueError: \\x1b[2J Bearer {MASK}"}


@pytest.mark.parametrize("bad", ["\n", "\r", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\u2066", "\ud800"])
def test_characters_that_could_forge_are_written_out(bad: str) -> None:
    """Line ends, escapes, bidirectional controls and lone surrogates become visible escapes."""
    assert neutral(f"a{bad}b").isprintable()


@given(st.text())
def test_neutral_text_is_one_line_that_can_be_encoded(text: str) -> None:
    """Whatever comes in, one line of UTF-8 comes out, and printable text is unchanged."""
    result = neutral(text)

    assert len(result.splitlines()) <= 1
    assert result.encode().decode() == result
    assert neutral(result) == result
    if text.isascii() and text.isprintable():
        assert result == text


def test_bytes_and_long_texts_are_not_poured_out() -> None:
    """Bytes show their number, texts their beginning."""
    found = _redacted(body=b"planted", text="x" * 10_000)

    assert found["body"] == "<7 bytes>"
    assert found["text"] == "x" * MAX_CHARS + "…"


def test_depth_is_bounded() -> None:
    """A value that contains itself ends."""
    loop: dict[str, object] = {}
    loop["again"] = loop

    assert "again" in str(_redacted(loop=loop))
