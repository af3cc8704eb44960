"""The gate every request of an account passes: the configured ceiling, and the pauses and paces the API asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from http import HTTPStatus

from mcwatch.domain.budget import GatePressure
from mcwatch.domain.leasing import Budget
from mcwatch.interfaces import Clock
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.pacing import Ceiling, Scope
from mcwatch.mimecast.pressure import PressureGauge
from mcwatch.mimecast.rate_headers import MAX_WAIT_SECS, RateHeaders, read_rate_headers
from mcwatch.telemetry.liveness import resting
from mcwatch.telemetry.metrics import Metrics

_CEILING = "ceiling"
_MINUTE_SECS = 60.0
_UNTOLD_PAUSE_SECS = 60.0  # first pause after a 429 that names no time; doubled by each further one in a row
_YIELD_SECS = 0.01  # while a more urgent request that may go is about to wake
_RECHECK_SECS = 5.0  # a pace may be eased by the next answer, so nobody sleeps through it
_LONGEST_WAIT_SECS = 600.0  # after that a request counts as fresh, so that none waits for ever behind others


class Priority(IntEnum):
    """The order of service among requests that wait."""

    TOKEN = 0
    QUEUE = 1
    FRESH = 2
    CATCH_UP = 3
    RESCAN = 4
    BACKFILL = 5


_URGENT = frozenset({Priority.QUEUE, Priority.FRESH})
# The part of the API's limit that each leaves to the more urgent ones; a token is the way to everything else.
_LEAVES_SHARE = {Priority.CATCH_UP: 0.1, Priority.RESCAN: 0.15, Priority.BACKFILL: 0.2}


@dataclass(frozen=True, slots=True)
class QuotaSeen:
    """What is known of one quota: figures as last told, None when never; and for how long it is closed."""

    endpoint: Endpoint
    limit: int | None
    remaining: int | None
    closed_for_secs: float


@dataclass(frozen=True, slots=True)
class _Ticket:
    """A request that waits."""

    endpoint: Endpoint
    priority: Priority
    number: int
    since: float

    def rank(self, now: float) -> Priority:
        """Return the priority it has come to by waiting."""
        aged = now - self.since >= _LONGEST_WAIT_SECS
        return min(self.priority, Priority.FRESH) if aged else self.priority


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
        self._ceiling = Ceiling(max_requests_per_minute)
        whole_account = Scope()
        self._scopes = {endpoint: Scope() if per_endpoint else whole_account for endpoint in Endpoint}
        self._limits: dict[Endpoint, int] = {}
        self._remaining: dict[Endpoint, int] = {}
        self._waiting: list[_Ticket] = []
        self._arrivals = 0
        self._pressure = PressureGauge(clock.monotonic())

    async def turn(self, endpoint: Endpoint, priority: Priority = Priority.FRESH) -> None:
        """Wait until a request to ``endpoint`` may be sent, and count it as sent."""
        if not self._waiting and self.wait_secs(endpoint, priority) <= 0:
            self._take(endpoint, priority)
            return
        began = self._clock.monotonic()
        self._arrivals += 1
        ticket = _Ticket(endpoint, priority, self._arrivals, began)
        self._waiting.append(ticket)
        if priority in _URGENT:
            self._pressure.waits(began)
        try:
            with resting("quota"):
                await self._wait(ticket)
            self._take(endpoint, priority)
        finally:
            self._waiting.remove(ticket)
            now = self._clock.monotonic()
            if priority in _URGENT:
                self._pressure.served(now)
            self._metrics.api_throttled_seconds_total.labels(self._account).inc(now - began)

    def wait_secs(self, endpoint: Endpoint, priority: Priority) -> float:
        """Return how long a request would wait if nobody else asked and no answer told more; 0 when it may go."""
        return max(0.0, *self._waits_secs(endpoint, priority))

    def learn(self, endpoint: Endpoint, headers: Mapping[str, str], status: int) -> float | None:
        """Take note of what an answer says; returns the seconds a refusal asks to wait, else None."""
        scope = self._scopes[endpoint]
        told = read_rate_headers(headers, self._server_now())
        now = self._clock.monotonic()
        self._note_figures(endpoint, told.limit, told.remaining)
        wait_secs = self._asked_secs(scope, told, status)
        if wait_secs is not None:
            scope.close(now, wait_secs)
        elif told.remaining is not None:
            scope.tell(now, told.limit, told.remaining, told.wait_secs or _UNTOLD_PAUSE_SECS)
        return wait_secs

    def seen(self, endpoint: Endpoint) -> QuotaSeen:
        """Return what is known of the endpoint's quota."""
        closed_for = max(0.0, self._scopes[endpoint].closed_until - self._clock.monotonic())
        return QuotaSeen(endpoint, self._limits.get(endpoint), self._remaining.get(endpoint), closed_for)

    def budget(self) -> dict[str, float]:
        """Return what is closed or spent, in seconds from now, for another process to go on from."""
        now = self._clock.monotonic()
        waits = {str(endpoint): scope.closed_until - now for endpoint, scope in self._scopes.items()}
        waits[_CEILING] = self._ceiling.owed_secs(now)
        return {name: round(secs, 3) for name, secs in waits.items() if secs > 0}

    def go_on_from(self, budget: Budget) -> None:
        """Take up what another process knew."""
        now = self._clock.monotonic()
        for endpoint, scope in self._scopes.items():
            scope.close(now, min(budget.get(str(endpoint), 0.0), MAX_WAIT_SECS))
        self._ceiling.owe(now, min(budget.get(_CEILING, 0.0), _MINUTE_SECS))

    def pressure(self) -> GatePressure:
        """Return what the gate saw over the last ten minutes."""
        return self._pressure.reading(self._clock.monotonic())

    async def _wait(self, ticket: _Ticket) -> None:
        while True:
            rank = ticket.rank(self._clock.monotonic())
            firm_secs, soft_secs = self._waits_secs(ticket.endpoint, rank)
            if max(firm_secs, soft_secs) <= 0 and not self._urgent_waits(ticket):
                return
            await self._clock.sleep(max(firm_secs, min(soft_secs, _RECHECK_SECS), _YIELD_SECS))

    def _take(self, endpoint: Endpoint, priority: Priority) -> None:
        now = self._clock.monotonic()
        self._ceiling.take(now)
        self._scopes[endpoint].take(now, is_urgent=priority in _URGENT)
        self._pressure.sent(now)

    def _waits_secs(self, endpoint: Endpoint, priority: Priority) -> tuple[float, float]:
        """Return the wait that nothing shortens, and the one that the API's next answer may shorten."""
        now = self._clock.monotonic()
        scope = self._scopes[endpoint]
        firm_secs = max(scope.closed_until - now, self._ceiling.wait_secs(now, may_burst=priority not in _LEAVES_SHARE))
        if priority is Priority.TOKEN:
            return firm_secs, 0.0
        return firm_secs, scope.pace_secs(now, _LEAVES_SHARE.get(priority, 0.0))

    def _urgent_waits(self, ticket: _Ticket) -> bool:
        """Tell whether a request that comes first may go as well."""
        now = self._clock.monotonic()
        mine = (ticket.rank(now), ticket.number)
        return any(
            (other.rank(now), other.number) < mine and self.wait_secs(other.endpoint, other.rank(now)) <= 0
            for other in self._waiting
        )

    @staticmethod
    def _asked_secs(scope: Scope, told: RateHeaders, status: int) -> float | None:
        if status != HTTPStatus.TOO_MANY_REQUESTS:
            scope.untold = 0
            return told.retry_after_secs if status == HTTPStatus.SERVICE_UNAVAILABLE else None
        if told.wait_secs is not None:
            return told.wait_secs
        scope.untold += 1
        return min(_UNTOLD_PAUSE_SECS * 2.0 ** min(scope.untold - 1, 10), MAX_WAIT_SECS)

    def _note_figures(self, endpoint: Endpoint, limit: int | None, remaining: int | None) -> None:
        if limit is not None:
            self._limits[endpoint] = limit
            self._metrics.api_quota_limit.labels(self._account, endpoint).set(limit)
        if remaining is not None:
            self._remaining[endpoint] = remaining
            self._metrics.api_quota_remaining.labels(self._account, endpoint).set(remaining)
