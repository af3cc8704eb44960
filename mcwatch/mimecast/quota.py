"""The gate every request of an account passes: the configured ceiling, and the pauses the API asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from http import HTTPStatus

from mcwatch.interfaces import Clock
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.rate_headers import MAX_WAIT_SECS, RateHeaders, read_rate_headers
from mcwatch.telemetry.metrics import Metrics

_UNTOLD_PAUSE_SECS = 60.0  # first pause after a 429 that names no time; doubled by each further one in a row
_YIELD_SECS = 0.01  # while a more urgent request that may go is about to wake
_BURST_SHARE = 20  # a twentieth of the minute's ceiling may go at once, at most _MAX_BURST
_MAX_BURST = 5


class Priority(IntEnum):
    """The order of service among requests that wait."""

    TOKEN = 0
    QUEUE = 1
    FRESH = 2
    CATCH_UP = 3
    RESCAN = 4
    BACKFILL = 5


@dataclass(frozen=True, slots=True)
class QuotaSeen:
    """What is known of one quota: figures as last told, None when never; and for how long it is closed."""

    endpoint: Endpoint
    limit: int | None
    remaining: int | None
    closed_for_secs: float


@dataclass(slots=True)
class _Scope:
    """One quota: closed until a monotonic second; ``untold`` counts 429s in a row that named no time."""

    closed_until: float = 0.0
    untold: int = 0


class _Pacer:
    """Spaces requests so that no minute sees more than the ceiling, with a small burst after a quiet time."""

    def __init__(self, per_minute: int) -> None:
        burst = max(1, min(_MAX_BURST, per_minute // _BURST_SHARE))
        # burst - 1 requests may come on top of the even flow within a minute: the flow makes room for them.
        self._spacing_secs = 60.0 / (per_minute - burst + 1)
        self._credit_secs = self._spacing_secs * (burst - 1)
        self._due_at = 0.0

    def wait_secs(self, now: float) -> float:
        return max(0.0, self._due_at - self._credit_secs - now)

    def take(self, now: float) -> None:
        self._due_at = max(self._due_at, now) + self._spacing_secs


class QuotaGate:
    """Lets requests through one by one, the most urgent first, and none while their quota is closed.

    ``per_endpoint`` tells the quota's scope (notes D): API 2.0 counts per application and function, API 1.0 per user.
    ``server_now`` is asked for moments given on the server's clock.
    """

    def __init__(
        self,
        account: str,
        *,
        max_requests_per_minute: int,
        per_endpoint: bool,
        clock: Clock,
        metrics: Metrics,
        server_now: Callable[[], datetime],
    ) -> None:
        self._account = account
        self._clock = clock
        self._metrics = metrics
        self._server_now = server_now
        self._pacer = _Pacer(max_requests_per_minute)
        whole_account = _Scope()
        self._scopes = {endpoint: _Scope() if per_endpoint else whole_account for endpoint in Endpoint}
        self._limits: dict[Endpoint, int] = {}
        self._remaining: dict[Endpoint, int] = {}
        self._waiting: list[tuple[Priority, int, Endpoint]] = []
        self._arrivals = 0

    async def turn(self, endpoint: Endpoint, priority: Priority = Priority.FRESH) -> None:
        """Wait until a request to ``endpoint`` may be sent, and count it as sent."""
        if not self._waiting and self._wait_secs(endpoint) <= 0:
            self._pacer.take(self._clock.monotonic())
            return
        self._arrivals += 1
        ticket = (priority, self._arrivals, endpoint)
        self._waiting.append(ticket)
        began = self._clock.monotonic()
        try:
            while (wait_secs := self._wait_secs(endpoint)) > 0 or self._urgent_waits(ticket):
                await self._clock.sleep(max(wait_secs, _YIELD_SECS))
            self._pacer.take(self._clock.monotonic())
        finally:
            self._waiting.remove(ticket)
            waited = self._clock.monotonic() - began
            self._metrics.api_throttled_seconds_total.labels(self._account).inc(waited)

    def learn(self, endpoint: Endpoint, headers: Mapping[str, str], status: int) -> float | None:
        """Take note of what an answer says; returns the seconds a refusal asks to wait, else None."""
        scope = self._scopes[endpoint]
        told = read_rate_headers(headers, self._server_now())
        now = self._clock.monotonic()
        self._note_figures(endpoint, told.limit, told.remaining)
        wait_secs = self._asked_secs(scope, told, status)
        pause_secs = wait_secs
        if wait_secs is None and told.remaining == 0:
            pause_secs = told.wait_secs or _UNTOLD_PAUSE_SECS
        if pause_secs is not None:
            scope.closed_until = max(scope.closed_until, now + pause_secs)
        return wait_secs

    def seen(self, endpoint: Endpoint) -> QuotaSeen:
        """Return what is known of the endpoint's quota."""
        closed_for = max(0.0, self._scopes[endpoint].closed_until - self._clock.monotonic())
        return QuotaSeen(endpoint, self._limits.get(endpoint), self._remaining.get(endpoint), closed_for)

    @staticmethod
    def _asked_secs(scope: _Scope, told: RateHeaders, status: int) -> float | None:
        if status != HTTPStatus.TOO_MANY_REQUESTS:
            scope.untold = 0
            return told.retry_after_secs if status == HTTPStatus.SERVICE_UNAVAILABLE else None
        if told.wait_secs is not None:
            return told.wait_secs
        scope.untold += 1
        return min(_UNTOLD_PAUSE_SECS * 2.0 ** min(scope.untold - 1, 10), MAX_WAIT_SECS)

    def _wait_secs(self, endpoint: Endpoint) -> float:
        now = self._clock.monotonic()
        return max(self._scopes[endpoint].closed_until - now, self._pacer.wait_secs(now))

    def _urgent_waits(self, ticket: tuple[Priority, int, Endpoint]) -> bool:
        return any(other < ticket and self._wait_secs(other[2]) <= 0 for other in self._waiting)

    def _note_figures(self, endpoint: Endpoint, limit: int | None, remaining: int | None) -> None:
        if limit is not None:
            self._limits[endpoint] = limit
            self._metrics.api_quota_limit.labels(self._account, endpoint).set(limit)
        if remaining is not None:
            self._remaining[endpoint] = remaining
            self._metrics.api_quota_remaining.labels(self._account, endpoint).set(remaining)
