"""How a metric describes itself, for the documentation and for tests that compare names."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """One metric: ``name`` is complete, with the prefix and, for counters, the suffix ``_total``."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
