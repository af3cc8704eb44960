"""The time as receivers see it."""

from datetime import UTC, datetime


def wall_clock() -> datetime:
    """Return the time that a receiver compares with its own."""
    return datetime.now(UTC)  # noqa: TID251 - no Clock comes with a configuration; who has one passes its now()
