"""Quotas: a fixed window of calls per scope, and the headers that tell of it (reference notes §D)."""

import math
from collections.abc import Callable
from typing import NamedTuple

from mcwatch.simulator.config import QuotaConfig


class Standing(NamedTuple):
    """Where a scope stands after a call."""

    allowed: bool
    remaining: int
    reset_secs: float


class Quota:
    """Counts calls per scope; a window opens with the first call after the last one ended."""

    def __init__(self, config: QuotaConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, scope: str) -> Standing:
        """Count a call; a refused one is not executed and not counted."""
        now = self._clock()
        opened_at, used = self._windows.get(scope, (now, 0))
        if not opened_at <= now < opened_at + self._config.per_secs:
            opened_at, used = now, 0
        allowed = used < self._config.calls
        used += allowed
        self._windows[scope] = (opened_at, used)
        return Standing(allowed, self._config.calls - used, opened_at + self._config.per_secs - now)

    def headers(self, standing: Standing) -> dict[str, str]:
        """Word the standing as response headers."""
        if not self._config.headers:
            return {}
        headers = {"X-RateLimit-Limit": str(self._config.calls), "X-RateLimit-Remaining": str(standing.remaining)}
        reset = self._reset(standing.reset_secs)
        return headers if reset is None else {**headers, "X-RateLimit-Reset": reset}

    def _reset(self, secs: float) -> str | None:
        match self._config.reset:
            case "milliseconds":
                return str(math.ceil(secs * 1000))
            case "epoch_seconds":
                return str(math.ceil(self._clock() + secs))
            case "epoch_milliseconds":
                return str(math.ceil((self._clock() + secs) * 1000))
            case "nonsense":
                return "soon"
            case "absent":
                return None
