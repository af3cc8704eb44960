"""The times of requests and answers."""

import pytest

from mcwatch.simulator.times import from_api, from_mc_date, to_api, to_http_date, to_rfc3339

AT = 1_767_605_400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-05T09:30:00+0000", AT),
        ("2026-01-05T09:30:00Z", AT),
        ("2026-01-05T11:30:00+02:00", AT),
        ("2026-01-05T04:00:00-0530", AT),
        ("2026-01-05T09:30:00.250Z", AT),
        ("2026-01-05 09:30:00", None),
        ("2026-02-30T09:30:00Z", None),
        ("2026-01-05T09:30:00+9999", None),
    ],
)
def test_from_api(text: str, expected: int | None) -> None:
    """Times with an offset or Z are read, anything else is not."""
    assert from_api(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon, 05 Jan 2026 09:30:00 UTC", AT),
        ("Mon, 05 Jan 2026 09:30:00 GMT", AT),
        ("Mon, 05 Jan 2026 09:30:00 CET", None),
        ("Mon, 5 Jan 2026 09:30:00 UTC", None),
        ("Mon, 05 Foo 2026 09:30:00 UTC", None),
    ],
)
def test_from_mc_date(text: str, expected: int | None) -> None:
    """The date of a signed call is UTC or GMT, in English."""
    assert from_mc_date(text) == expected


def test_writing() -> None:
    """The API writes an offset without colon, the control endpoints Z, the Date header GMT."""
    written = (to_api(AT), to_rfc3339(AT + 0.9), to_http_date(AT))
    assert written == ("2026-01-05T09:30:00+0000", "2026-01-05T09:30:00Z", "Mon, 05 Jan 2026 09:30:00 GMT")
