"""Reading the configuration again while the daemon runs: what changed is exchanged, everything else goes on.

A file that cannot be used changes nothing; the log, a metric and the status say so.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import structlog

from mcwatch.app.account import AccountPart
from mcwatch.app.config_file import ConfigFile
from mcwatch.app.crew import Crew
from mcwatch.app.wiring import Application
from mcwatch.domain.errors import ConfigError, McwatchError, StoreCorrupt
from mcwatch.domain.reloading import Reloaded, differing
from mcwatch.settings import Settings
from mcwatch.telemetry.logs import configure

_PATIENCE_SECS = 10.0
"""So long a destination that is exchanged may take to end what it has under way; it is sent again otherwise."""

_LEASE_SHARE = 0.1

_FIXED = ("http", "lease", "store")
"""Sections that only a restart changes: what listens, and what everything else stands on."""

_STOPPING = "mcwatch is just stopping: nothing has been reloaded"

logger = structlog.get_logger(__name__)


class Reloader:
    """Reloads when asked to, one time after the other."""

    def __init__(self, application: Application, crew: Crew, group: asyncio.TaskGroup, asked: asyncio.Event) -> None:
        self._application = application
        self._crew = crew
        self._group = group
        self._asked = asked
        self._waiting: list[asyncio.Future[Reloaded]] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._turn = application.parts.turn
        leases = application.store.leases
        # Accounts of a lost replica are taken in turn with this, and must be within the lease.
        self._patience_secs = min(_PATIENCE_SECS, leases.duration_secs * _LEASE_SHARE) if leases else _PATIENCE_SECS
        self._has_ended = False

    async def reload(self) -> Reloaded:
        """Reload and say what has changed; raises ConfigError, or StoreUnavailable, with nothing changed.

        It goes on to its end also when whoever asked has gone away.
        """
        answer: asyncio.Future[Reloaded] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._asked.set()
        return await answer

    async def run(self, announced: Callable[[], AbstractContextManager[None]]) -> None:
        """Reload whenever asked to, by :meth:`reload` or by the event that a signal sets, each time ``announced``."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            outcome: Reloaded | McwatchError = ConfigError([_STOPPING])
            try:
                with announced():
                    outcome = await self._attempt()
            finally:
                _tell(waiting, outcome)

    async def end(self) -> None:
        """Let an exchange that goes on come to its end, and begin none after it; a file being read is not waited for.

        Whoever ends the loops calls :meth:`abandon` when they have ended.
        """
        self._has_ended = True
        async with self._turn:
            pass

    def abandon(self) -> None:
        """Close at once what commands still use, and answer whoever still waits."""
        for task in self._closing:
            task.cancel()
        _tell(self._waiting, ConfigError([_STOPPING]))

    async def _attempt(self) -> Reloaded | McwatchError:
        config = self._application.config
        if config is None:
            logger.warning("reload_not_possible", remedy="this daemon was started without a configuration file")
            return ConfigError(["there is no configuration file to read again"])
        try:
            settings = await asyncio.to_thread(config.read)
            async with self._turn:
                if self._has_ended:
                    return ConfigError([_STOPPING])
                changed = await self._exchange(config.file, settings)
        except StoreCorrupt:
            raise
        except McwatchError as error:
            self._note_failure(config, error.problems if isinstance(error, ConfigError) else [str(error)])
            return error
        except Exception as defect:
            logger.exception("reload_defect")
            text = f"a defect in mcwatch kept the configuration from being reloaded ({type(defect).__name__})"
            self._note_failure(config, [text])
            return McwatchError(text, remedy="restart mcwatch, and please report it with the log lines around it")
        config.took(self._application.clock.now())
        self._application.metrics.config_last_reload_successful.set(1)
        logger.info("reloaded", changed=changed.lines)
        return changed

    def _note_failure(self, config: ConfigFile, problems: list[str]) -> None:
        logger.error("reload_failed", problems=problems, remedy="mend the file and reload; the old one is at work")
        config.refused(self._application.clock.now(), problems)
        self._application.metrics.config_last_reload_successful.set(0)

    async def _exchange(self, file: Path, settings: Settings) -> Reloaded:
        """Build what the settings change, and only then end and start anything."""
        parts, crew = self._application.parts, self._crew
        before = parts.settings
        _refuse_fixed(file, before, settings)
        changes = parts.changes(settings)
        prepared = await parts.prepare(settings, changes)
        try:
            # Polling rests as briefly as can be: a slow receiver must not cost snapshots of a queue.
            await crew.stop_delivering(changes.destinations.stopped, self._patience_secs)
            await crew.stop_polling(parts.pollers_of(changes.accounts.stopped))
            # What the old ones had committed must have been written before the new ones ask where they stand.
            await self._application.store.ping()
        except asyncio.CancelledError:
            await parts.take_back(prepared.accounts, changes)
            raise
        # From here on nothing waits, and loops run again before anything that is only shown.
        retired = parts.exchange(prepared)
        crew.deliver({part.config.name: part.dispatcher for part in prepared.destinations})
        crew.poll({name: parts.pollers[name] for name in parts.pollers_of(changes.accounts.started)})
        for part in retired:
            self._close(part)
        parts.show(prepared, retired)
        if settings.log != before.log:
            configure(settings.log.level, settings.log.format)
        return changes

    def _close(self, part: AccountPart) -> None:
        closing = self._group.create_task(self._application.parts.see_off(part), name=f"close {part.config.name}")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _tell(waiting: Iterable[asyncio.Future[Reloaded]], outcome: Reloaded | McwatchError) -> None:
    for answer in waiting:
        if answer.done():
            continue
        if isinstance(outcome, McwatchError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


def _refuse_fixed(file: Path, before: Settings, after: Settings) -> None:
    keys = [key for name in _FIXED for key in differing(name, dict(getattr(before, name)), dict(getattr(after, name)))]
    if keys:
        raise ConfigError(
            [f"{file}: {key}: only a restart can change this; restart mcwatch, or undo the change" for key in keys]
        )
