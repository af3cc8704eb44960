"""The API's clock, told from the ``Date`` of its answers."""

from datetime import UTC, datetime, timedelta

import structlog

from mcwatch.httpclient.dates import parse_http_date
from mcwatch.interfaces import Clock
from mcwatch.telemetry.metrics import Metrics

_RESOLUTION_SECS = 1.0  # Date is written in whole seconds, cut off
_WARN_SECS = 30.0
_CALM_SECS = 15.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = structlog.get_logger("mcwatch.mimecast")


class ClockSkew:
    """Estimates the server's time.

    An answer proves a range: the server wrote its ``Date`` after the request left and before the answer was here,
    within a second. The first answer sets the estimate to the middle of its range; each later one moves it only as far
    as its range asks for. A slow answer has a wide range and so moves nothing. The estimate hangs on the monotonic
    clock: when somebody sets this machine's clock, the server's time is not lost.
    """

    def __init__(self, account: str, clock: Clock, metrics: Metrics) -> None:
        self._account = account
        self._clock = clock
        self._gauge = metrics.api_clock_skew_seconds
        self._offset_secs: float | None = None
        self._warned = False

    def observe(self, date: str | None, sent_at: float, received_at: float) -> None:
        """Learn from one answer: its ``Date`` and the monotonic seconds of sending and receiving."""
        moment = parse_http_date(date)
        if moment is None:
            return
        server_secs = (moment - _EPOCH).total_seconds()
        lowest = server_secs - received_at
        highest = server_secs + _RESOLUTION_SECS - sent_at
        if self._offset_secs is None:
            self._offset_secs = (lowest + highest) / 2
        else:
            self._offset_secs = min(max(self._offset_secs, lowest), highest)
        self._report()

    def server_now(self) -> datetime:
        """Return the server's time, or this machine's as long as no answer came."""
        if self._offset_secs is None:
            return self._clock.now()
        return _EPOCH + timedelta(seconds=self._offset_secs + self._clock.monotonic())

    @property
    def skew_secs(self) -> float | None:
        """The server's clock minus this machine's, None before the first answer; good to about half a second."""
        if self._offset_secs is None:
            return None
        return (self.server_now() - self._clock.now()).total_seconds()

    def _report(self) -> None:
        skew = self.skew_secs or 0.0
        self._gauge.labels(self._account).set(skew)
        if abs(skew) > _WARN_SECS and not self._warned:
            self._warned = True
            _log.warning(
                "clock_skew",
                account=self._account,
                skew_secs=round(skew, 1),
                remedy="set this machine's clock; signatures and windows use the API's time meanwhile",
            )
        elif abs(skew) < _CALM_SECS and self._warned:
            self._warned = False
            _log.info("clock_skew_over", account=self._account, skew_secs=round(skew, 1))
