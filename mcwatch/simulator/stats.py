"""What the simulator counts about its own work."""

from collections import Counter
from collections.abc import Mapping


class Stats:
    """Counters since the start; a test reads them to know that something really happened."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        """Requests by endpoint: token, login, queue, finder, domains, other."""
        self.statuses: Counter[int] = Counter()
        """Answers by HTTP status, cut ones included."""
        self.codes: Counter[str] = Counter()
        """Failures by code, injected ones included."""
        self.rows_shown = 0
        """Rows in complete answers, repeats included."""
        self.tokens_issued = 0
        self.throttled = 0
        """Answers 429."""
        self.searches: Counter[str] = Counter()
        """Executed finder calls by account: each writes a row of the tenant's search log (reference notes §G)."""

    def as_object(self, injected: Mapping[str, int], ledger_size: int) -> dict[str, object]:
        """Return everything as `GET /_simulator/stats` answers it."""
        return {
            "requests_total": self.requests.total(),
            "requests": dict(self.requests),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "codes": dict(self.codes),
            "rows_shown": self.rows_shown,
            "ledger_size": ledger_size,
            "tokens_issued": self.tokens_issued,
            "throttled": self.throttled,
            "searches": dict(self.searches),
            "faults_total": sum(injected.values()),
            "faults": dict(injected),
        }
