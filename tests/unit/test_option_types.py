"""The field types that every component's options are made of."""

import os
import pickle
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mcwatch.domain.errors import ConfigError
from mcwatch.option_types import Config, Duration, Secret, Size, TlsConfig
from mcwatch.tls import TlsOptions

DURATION: TypeAdapter[float] = TypeAdapter(Duration)
SIZE: TypeAdapter[int] = TypeAdapter(Size)
SECRET: TypeAdapter[Secret] = TypeAdapter(Secret)


@pytest.mark.parametrize(
    ("written", "secs"),
    [("30s", 30), ("5m", 300), ("1h30m", 5400), ("7d", 604800), ("2w", 1209600), ("250ms", 0.25), ("1.5h", 5400),
     (" 1m ", 60), ("0", 0), (0, 0), (0.0, 0), ("0s", 0), ("1d1d", 172800)],
)  # fmt: skip
def test_durations(written: object, secs: float) -> None:
    """Durations are numbers with units, added up; zero needs no unit."""
    assert DURATION.validate_python(written) == secs


@pytest.mark.parametrize(
    "written",
    [
        "",
        "5",
        5,
        1.5,
        "s",
        "5 m",
        "5x",
        "-5s",
        "5m-1s",
        "1h 30m",
        "five",
        True,
        None,
        ["5m"],
        "٣s",
        "36501d",
        "9" * 400 + "s",
        "nan",
        "inf",
    ],
)
def test_durations_refused(written: object) -> None:
    """What has no unit, a sign, a space, or no end is refused."""
    with pytest.raises(ValidationError):
        DURATION.validate_python(written)


@pytest.mark.parametrize(
    ("written", "count"),
    [("512KiB", 524288), ("1MiB", 2**20), ("2GiB", 2**31), ("1TiB", 2**40), ("1kB", 1000), ("1KB", 1000),
     ("1.5MiB", 1572864), ("10 B", 10), ("10", 10), (10, 10), (0, 0), ("9007199254740991", 9007199254740991)],
)  # fmt: skip
def test_sizes(written: object, count: int) -> None:
    """Sizes are numbers with binary or decimal units, or plain bytes; none is rounded on the way."""
    assert SIZE.validate_python(written) == count


@pytest.mark.parametrize(
    "written", ["", "MiB", "-1", -1, "1 M", "1mib", "1GiB 1MiB", 1.5, True, None, ["1MiB"], "8192TiB", "9" * 400, "٣"]
)
def test_sizes_refused(written: object) -> None:
    """Unknown units, signs and sizes beyond all disks are refused."""
    with pytest.raises(ValidationError):
        SIZE.validate_python(written)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text does anything else than give a number that is not negative or a validation error."""
    for adapter in (DURATION, SIZE):
        try:
            assert adapter.validate_python(text) >= 0
        except ValidationError:
            continue


@pytest.mark.parametrize(("written", "text"), [("hush", "hush"), (12345, "12345"), (" spaces stay ", " spaces stay ")])
def test_secret_in_place(written: object, text: str) -> None:
    """A secret given in place is its text."""
    assert SECRET.validate_python(written).reveal() == text


@pytest.mark.parametrize("written", ["", None, True, 1.5, ["hush"], {"file": 5}, {"file": "x", "env": "hush"}, {}])
def test_secret_refused(written: object) -> None:
    """Anything else is refused, without showing it."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, Secret], config={"hide_input_in_errors": True}).validate_python({"key": written})
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "text"), [("hush\n", "hush"), ("hush\r\n", "hush"), ("hush\n\n", "hush\n"), ("hush", "hush")]
)
def test_secret_file(tmp_path: Path, content: str, text: str) -> None:
    """A secret file's text counts without one line end at its end."""
    path = tmp_path / "secret"
    path.write_bytes(content.encode())
    secret = SECRET.validate_python({"file": str(path)})
    assert (secret.reveal(), secret.path) == (text, path)


def test_secret_file_is_read_again(tmp_path: Path) -> None:
    """A secret file that is replaced gives the new secret, and one that is gone an error naming it."""
    path = tmp_path / "secret"
    path.write_text("first", "utf-8")
    secret = SECRET.validate_python({"file": str(path)})
    assert secret.reveal() == "first"
    replacement = tmp_path / "replacement"
    replacement.write_text("second", "utf-8")
    replacement.replace(path)
    assert secret.reveal() == "second"
    path.unlink()
    with pytest.raises(ConfigError, match=r"the secret file .*secret cannot be read: No such file or directory"):
        secret.reveal()


def test_secret_file_that_is_no_text(tmp_path: Path) -> None:
    """A secret file that is not UTF-8 is an error without its bytes."""
    path = tmp_path / "secret"
    path.write_bytes(b"hush\xff")
    with pytest.raises(ConfigError, match="it is not UTF-8 text") as caught:
        SECRET.validate_python({"file": str(path)}).reveal()
    assert "hush" not in str(caught.value)


class Holder(Config):
    """A model with a secret."""

    token: Secret
    other: Duration = 0.0


def test_secrets_never_show() -> None:
    """Neither text, representation, dump nor pickling-free formatting of a model shows its secret."""
    holder = Holder.model_validate({"token": "hush"})
    for text in (repr(holder), str(holder), f"{holder.token}", str(holder.model_dump()), holder.model_dump_json()):
        assert "hush" not in text
    with pytest.raises((TypeError, pickle.PicklingError, AttributeError)):
        pickle.dumps(holder.token, protocol=0)


def test_secrets_compare_by_what_they_say() -> None:
    """Two secrets are equal when they were written alike; equal ones hash alike."""
    same, other = (SECRET.validate_python({"file": path}) for path in ("/a", "/b"))
    assert Secret("hush") == Secret("hush")
    assert hash(Secret("hush")) == hash(Secret("hush"))
    assert same != other
    assert Secret("hush") != "hush"


def test_unknown_keys_are_refused() -> None:
    """A configuration model takes no key it does not know, and shows no value in its error."""
    with pytest.raises(ValidationError) as caught:
        Holder.model_validate({"token": "hush", "tokn": "hush"})
    assert "hush" not in str(caught.value)


def test_tls_options(tmp_path: Path) -> None:
    """TLS settings build into the options the code passes on; by default names and certificates are checked."""
    built = TlsConfig(ca_file=tmp_path / "ca.pem", verify=False).build()
    assert built == TlsOptions(ca_file=tmp_path / "ca.pem", verify=False)
    assert TlsConfig().build().context().verify_mode is ssl.CERT_REQUIRED


def test_a_secret_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe would hold up whoever reads it, a reload or the loop itself, until somebody writes."""
    os.mkfifo(tmp_path / "secret")
    with pytest.raises(ConfigError, match="secret cannot be read: it is not a regular file"):
        Secret(path=tmp_path / "secret").reveal()
