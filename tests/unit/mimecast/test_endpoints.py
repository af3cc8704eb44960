"""Endpoints and times."""

from datetime import UTC, datetime, timedelta, timezone

from mcwatch.mimecast.endpoints import Endpoint, api_time


def test_an_endpoint_is_its_label_and_knows_its_path() -> None:
    """The value goes into labels as it is; the path is what is signed."""
    assert "message_finder" == f"{Endpoint.MESSAGE_FINDER}"
    assert "/api/message-finder/search" == Endpoint.MESSAGE_FINDER.path


def test_times_are_whole_seconds_in_utc_without_a_colon() -> None:
    """Any aware moment is written as the API reads it."""
    moment = datetime(2026, 1, 5, 11, 30, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert "2026-01-05T09:30:00+0000" == api_time(moment) == api_time(datetime(2026, 1, 5, 9, 30, tzinfo=UTC))
