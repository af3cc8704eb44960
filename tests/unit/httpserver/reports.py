"""Reports with everything in them, well and ill."""

from datetime import UTC, datetime, timedelta

from mcwatch.domain.status import (
    AccountStatus,
    DestinationStatus,
    QueueStatus,
    QuotaStatus,
    SkippedStatus,
    SourceStatus,
    StatusReport,
    StoreStatus,
)

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def quiet_report() -> StatusReport:
    """Return a report of a daemon that has just started and has nothing to do."""
    return StatusReport(version="1.2.3", live=True, healthy=True, at=NOW, started_at=NOW, uptime_secs=0.0)


def troubled_report(account: str = "acme", error: str = "the API answered 503") -> StatusReport:
    """Return a report in which most things are wrong; the names are the caller's."""
    return StatusReport(
        version="1.2.3",
        live=True,
        healthy=False,
        at=NOW,
        started_at=NOW - timedelta(hours=30),
        uptime_secs=108_000.0,
        store=StoreStatus(
            state="full", reason="the disk is full", remedy="make room", bytes=5_000_000, backlog_bytes=3_000_000,
            backlog_limit_bytes=2 * 2**30, paused=["backlog"],
        ),
        accounts=[
            AccountStatus(
                name=account, up=False, since=NOW, reason="the credentials were refused", remedy="renew the secret",
                clock_skew_secs=-42.0, undecodable_letters=3,
                quota=[QuotaStatus(endpoint="message_finder", limit=300, remaining=12, waiting_secs=4.0)],
                queues=[
                    QueueStatus(type="processing", depth=17, oldest_secs=95.0), QueueStatus(type="bulk_processing")
                ],
                sources=[
                    SourceStatus(
                        name="message_finder", up=False, reason=error, remedy="wait",
                        last_success_at=NOW - timedelta(minutes=3), lag_secs=181.0, received=1200, new=1000,
                        duplicate=197, undecodable=3,
                    ),
                    SourceStatus(name="processing_queue"),
                ],
            )
        ],
        destinations=[
            DestinationStatus(
                name="splunk", up=False, reason=error, remedy="look at the indexer", last_error=error,
                last_error_at=NOW - timedelta(seconds=30), waiting=600, oldest_secs=7300.0, offered=1000,
                delivered=395, dead_lettered=5, dead_letters=5, skipped=2,
                skipped_ranges=[SkippedStatus(NOW - timedelta(minutes=9), NOW - timedelta(minutes=1), 2)],
            ),
            DestinationStatus(name="archive", up=True, since=NOW, offered=1000, delivered=1000),
        ],
    )  # fmt: skip
