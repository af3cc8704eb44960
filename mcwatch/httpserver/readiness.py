"""Whether the process is ready for work, and what is not."""

from datetime import datetime

import msgspec

from mcwatch.telemetry.health import STORE, ComponentKind, Health


class DownComponent(msgspec.Struct, frozen=True):
    """Something that does not work at the moment."""

    component: str
    reason: str
    remedy: str
    since: datetime


class Readiness(msgspec.Struct, frozen=True):
    """The answer of ``/readyz``. What is down does not make the process unready, except the store."""

    ready: bool
    untried: list[str]
    down: list[DownComponent]


def readiness(health: Health) -> Readiness:
    """Judge: ready once every account has been tried, well or ill, while the store takes writes."""
    untried = [str(one.component) for one in health.conditions(ComponentKind.ACCOUNT) if one.up is None]
    down = [
        DownComponent(str(one.component), one.reason, one.remedy, one.since)
        for one in health.conditions()
        if one.up is False
    ]
    ready = not untried and health.condition(STORE).up is not False
    return Readiness(ready, untried, down)
