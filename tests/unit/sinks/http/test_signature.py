"""Signatures, checked as a receiver would."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcwatch.domain.errors import MisconfiguredError
from mcwatch.option_types import Secret
from mcwatch.sinks.http.signature import Signer
from mcwatch.sinks.receiver import wall_clock

_AT = datetime(2026, 1, 5, 9, 30, 0, 999_000, tzinfo=UTC)


def _signer(secret: Secret) -> Signer:
    return Signer(secret, "X-Signature", "X-At", lambda: _AT)


def test_a_receiver_can_verify_it() -> None:
    """The signature is HMAC-SHA256 over timestamp, full stop and body, and the timestamp is in whole seconds."""
    headers = _signer(Secret("käse")).headers(b"body\0\xff")
    expected = hmac.new("käse".encode(), b"1767605400.body\0\xff", hashlib.sha256).hexdigest()
    assert {"X-At": "1767605400", "X-Signature": f"sha256={expected}"} == headers


def test_a_known_value() -> None:
    """One value worked out with OpenSSL: printf '1767605400.{}' | openssl dgst -sha256 -hmac key."""
    headers = _signer(Secret("key")).headers(b"{}")
    assert "sha256=" + _BY_OPENSSL == headers["X-Signature"]


def test_a_changed_secret_counts_at_once(tmp_path: Path) -> None:
    """The key is read for each body; a file that is empty or gone is a misconfiguration, and no body is signed."""
    file = tmp_path / "key"
    signer = _signer(Secret(path=file))
    file.write_text("one")
    first = signer.headers(b"x")
    file.write_text("second")
    assert _signer(Secret("second")).headers(b"x") == signer.headers(b"x") != first
    file.write_text("\n")
    with pytest.raises(MisconfiguredError, match="empty"):
        signer.headers(b"x")
    file.unlink()
    with pytest.raises(MisconfiguredError, match="key"):
        signer.headers(b"x")


def test_the_signer_does_not_show_its_secret() -> None:
    """The repr of a signer is safe to log."""
    assert "hunter2" not in repr(_signer(Secret("hunter2")))


def test_the_time_is_the_time_of_now() -> None:
    """A receiver that refuses old timestamps takes ours."""
    assert abs(datetime.now(UTC) - wall_clock()) < timedelta(minutes=1)
    assert wall_clock().tzinfo is UTC


_BY_OPENSSL = "850033b98cc78e7797955632bcef068826d78fc7d8d8992567663def1ad39b69"
