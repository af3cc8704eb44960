"""Whether an account as a whole works: it is down while no source of it gets an answer."""

from collections.abc import Callable

from mcwatch.domain.budget import REMEDY
from mcwatch.domain.errors import McwatchError
from mcwatch.telemetry.health import Component, Health


class AccountHealth:
    """The state of one account, put together from its sources.

    One source that lacks a permission is that source's trouble; a credential refused or an API out of reach shows in
    every source, and then the account is down. The log has the sources' word for it already. ``shortage`` says why the
    quota is too small, or None.
    """

    def __init__(self, account: str, sources: int, health: Health, shortage: Callable[[], str | None]) -> None:
        self._component = Component.of_account(account)
        self._sources = sources
        self._failing: set[str] = set()
        self._health = health
        self._shortage = shortage
        health.expect(self._component)

    def succeeded(self, source: str) -> None:
        """Report an answer."""
        self._failing.discard(source)
        self._health.up(self._component, quiet=True)
        reason = self._shortage()
        self._health.degraded(self._component, reason or "", REMEDY if reason else "")

    def failed(self, source: str, error: McwatchError) -> None:
        """Report a failure."""
        self._failing.add(source)
        if len(self._failing) >= self._sources:
            self._health.down(self._component, str(error), error.remedy, quiet=True)
