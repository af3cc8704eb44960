"""Which parts work, since when, and what to do about those that do not.

Whoever drives a part reports each attempt here; a log line is written only when that changes something.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self

import structlog

from mcwatch.domain.errors import McwatchError
from mcwatch.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)


class ComponentKind(StrEnum):
    """What can be up or down."""

    ACCOUNT = "account"
    SOURCE = "source"
    DESTINATION = "destination"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Component:
    """One part whose state is followed; ``account`` is given for sources alone."""

    kind: ComponentKind
    name: str = ""
    account: str = ""

    @classmethod
    def of_account(cls, name: str) -> Self:
        """Name an account."""
        return cls(ComponentKind.ACCOUNT, name)

    @classmethod
    def of_source(cls, account: str, source: str) -> Self:
        """Name a source of an account."""
        return cls(ComponentKind.SOURCE, source, account)

    @classmethod
    def of_destination(cls, name: str) -> Self:
        """Name a destination."""
        return cls(ComponentKind.DESTINATION, name)

    def fields(self) -> dict[str, str]:
        """Return the component as fields of a log line."""
        if self.kind is ComponentKind.SOURCE:
            return {"account": self.account, "source": self.name}
        return {str(self.kind): self.name} if self.name else {"component": str(self.kind)}

    def __str__(self) -> str:
        return " ".join(part for part in (self.kind, self.account, self.name) if part)


STORE = Component(ComponentKind.STORE)


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a component. ``up`` is None before the first attempt; the last error outlives the recovery.

    A component that is up has a reason while it works, but not as well as it should.
    """

    component: Component
    up: bool | None
    since: datetime
    reason: str = ""
    remedy: str = ""
    last_error: str = ""
    last_error_at: datetime | None = None


class Health:
    """The conditions of all components of this process."""

    def __init__(self, metrics: Metrics, now: Callable[[], datetime]) -> None:
        self._metrics = metrics
        self._now = now
        self._conditions: dict[Component, Condition] = {}
        self._last_success: dict[Component, datetime] = {}

    def expect(self, component: Component) -> None:
        """Follow a component from before its first attempt."""
        self._conditions.setdefault(component, Condition(component, None, self._now()))

    def forget(self, component: Component) -> None:
        """Follow a component no longer: it is no longer configured."""
        self._conditions.pop(component, None)
        self._last_success.pop(component, None)

    def up(self, component: Component, *, quiet: bool = False) -> None:
        """Report success; logs a recovery with how long the component was down, unless ``quiet``."""
        before = self._conditions.get(component)
        now = self._last_success[component] = self._now()
        if before is not None and before.up:
            return
        last_error, last_error_at = (before.last_error, before.last_error_at) if before else ("", None)
        self._conditions[component] = Condition(
            component, up=True, since=now, last_error=last_error, last_error_at=last_error_at
        )
        self._set_gauge(component, 1)
        if before is not None and before.up is False and not quiet:
            down_secs = max(0.0, (now - before.since).total_seconds())
            _log.info("component_recovered", **component.fields(), down_secs=round(down_secs, 3))

    def down(self, component: Component, reason: str, remedy: str = "", *, quiet: bool = False) -> None:
        """Report a failure; logs the first one, and a later one only when there is something else to do about it.

        ``quiet`` logs neither: for a component whose state follows from others that have their say.
        """
        now = self._now()
        before = self._conditions.get(component)
        if before is None or before.up is not False:
            self._conditions[component] = Condition(
                component, up=False, since=now, reason=reason, remedy=remedy, last_error=reason, last_error_at=now
            )
            self._set_gauge(component, 0)
            if not quiet:
                _log.warning("component_down", **component.fields(), reason=reason, remedy=remedy)
            return
        self._conditions[component] = replace(
            before, reason=reason, remedy=remedy, last_error=reason, last_error_at=now
        )
        if remedy != before.remedy and not quiet:
            _log.warning("component_still_down", **component.fields(), reason=reason, remedy=remedy)

    def degraded(self, component: Component, reason: str, remedy: str) -> None:
        """Say why a component that is up does not work well, or with an empty reason that it does again.

        Logged when there is something else to do about it than before.
        """
        before = self._conditions.get(component)
        if before is None or not before.up or (reason, remedy) == (before.reason, before.remedy):
            return
        self._conditions[component] = replace(before, reason=reason, remedy=remedy)
        if remedy and remedy != before.remedy:
            _log.warning("component_degraded", **component.fields(), reason=reason, remedy=remedy)
        elif not remedy:
            _log.info("component_well_again", **component.fields())

    def failed(self, component: Component, error: McwatchError) -> None:
        """Report a failure by its error."""
        self.down(component, str(error), error.remedy)

    def last_success_at(self, component: Component) -> datetime | None:
        """Return when the component last worked, None when it never has."""
        return self._last_success.get(component)

    def condition(self, component: Component) -> Condition:
        """Return the state of a component; one nobody has spoken of counts as not tried."""
        return self._conditions.get(component) or Condition(component, None, self._now())

    def conditions(self, kind: ComponentKind | None = None) -> Iterator[Condition]:
        """Return the states of all components, or those of one kind, in the order they were first named."""
        return iter([one for one in self._conditions.values() if kind is None or one.component.kind is kind])

    @property
    def healthy(self) -> bool:
        """Whether nothing is down or degraded."""
        return all(condition.up is not False and not condition.reason for condition in self._conditions.values())

    def _set_gauge(self, component: Component, value: int) -> None:
        match component.kind:
            case ComponentKind.ACCOUNT:
                self._metrics.account_up.labels(component.name).set(value)
            case ComponentKind.SOURCE:
                self._metrics.source_up.labels(component.account, component.name).set(value)
            case ComponentKind.DESTINATION:
                self._metrics.destination_up.labels(component.name).set(value)
            case ComponentKind.STORE:
                # The store's trouble shows as polling_paused{reason="store"}, set by those who pause.
                pass
