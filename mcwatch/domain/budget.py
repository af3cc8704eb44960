"""Whether the quota suffices for what the configuration asks for, said with figures."""

from dataclasses import dataclass

OBSERVED_SECS = 600.0
"""How long a gate is observed before it proves anything: a short 429 is over by then."""
REMEDY = (
    "raise max_requests_per_minute if the tenant's quota has room, or need fewer requests: a longer interval, fewer "
    "domains and searches, fewer or slower rescans"
)

_WAITED_SHARE = 0.5
_NOTICEABLE_SHARE = 0.85  # polls do not come in step with the observation, so that it sees a poll more or less


@dataclass(frozen=True, slots=True)
class GatePressure:
    """What a quota gate saw of late.

    Args:
        sent_per_minute: requests let through.
        waited_share: part of the time, 0 to 1, in which a queue snapshot or a fresh window waited at the gate.
        over_secs: length of the time that both speak of.
    """

    sent_per_minute: float = 0.0
    waited_share: float = 0.0
    over_secs: float = 0.0


def verdict(needed_per_minute: float, allowed_per_minute: float, pressure: GatePressure) -> str | None:
    """Say why the quota is too small, or None while nothing proves it; :data:`REMEDY` says what to do.

    ``allowed_per_minute`` is the configured ceiling. Below it the API's own quota shows only in what it lets through
    while something urgent waits most of the time; a catch-up, which waits in the place of nobody, proves nothing.
    """
    allowed = allowed_per_minute
    if needed_per_minute <= allowed_per_minute:
        if pressure.over_secs < OBSERVED_SECS or pressure.waited_share < _WAITED_SHARE:
            return None
        if pressure.sent_per_minute >= needed_per_minute * _NOTICEABLE_SHARE:
            return None
        allowed = pressure.sent_per_minute
    return (
        f"the quota is too small: the configuration needs {needed_per_minute:.1f} requests a minute, "
        f"the API and max_requests_per_minute allow {allowed:.1f}"
    )
