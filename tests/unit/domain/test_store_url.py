"""What of a store's URL can be wrong before anybody is asked."""

import pytest

from mcwatch.domain.store_url import problem_of

_SECRET = "Xk9"


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "/mcwatch",
        "?service=mcwatch",
        "db.example",
        "db.example:5432",
        "mcwatch@[::1]:5432/mcwatch",
        "%2Fvar%2Frun%2Fpostgresql/mcwatch",
        "/mcwatch?host=/var/run/postgresql&user=mcwatch@server",
        "mcwatch%40server:a%2Fb%40c@db.example/mcwatch?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "mcwatch:a:b@db-1.example:5432,db-2.example:5432/mcwatch?target_session_attrs=read-write",
    ],
)
def test_uris_of_libpq(rest: str) -> None:
    """What can be read in one way only is libpq's business."""
    assert problem_of(f"postgresql://{rest}") == ""
    assert problem_of(f"postgres://{rest}") == ""


@pytest.mark.parametrize(
    "rest",
    [
        f"mcwatch:{_SECRET}/a@db.example/mcwatch",
        f"mcwatch:a@{_SECRET}@db.example/mcwatch",
        f"mcwatch:a@b/{_SECRET}:c@db.example:5432/mcwatch",
        f"mcwatch:a?{_SECRET}@db.example/mcwatch",
        f"mcwatch:a#{_SECRET}@db.example/mcwatch",
        f"mcwatch:a%{_SECRET}@db.example/mcwatch",
        f"mcwatch:a {_SECRET}@db.example/mcwatch",
        f"mcwatch:1/{_SECRET}@db.example/mcwatch",
        f"mcwatch:{_SECRET}/mcwatch",
        f"mcwatch:{_SECRET}@db.example:54x32/mcwatch",
    ],
)
def test_passwords_that_fall_apart(rest: str) -> None:
    """A password that libpq would take in part for a host or a database is refused, and not shown."""
    said = problem_of(f"postgresql://{rest}")
    assert "@ as %40" in said
    assert _SECRET not in said
