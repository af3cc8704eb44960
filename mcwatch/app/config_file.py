"""The configuration file that a daemon works by, and what became of the newest one."""

from datetime import datetime
from pathlib import Path

from mcwatch.domain.status import ConfigStatus


class ConfigFile:
    """Which file, since when, and why a newer one is not at work."""

    def __init__(self, file: Path, at: datetime) -> None:
        self.file = file
        self._loaded_at = at
        self._failed_at: datetime | None = None
        self._error = ""

    def took(self, at: datetime) -> None:
        """Note that what the file holds is at work."""
        self._loaded_at, self._failed_at, self._error = at, None, ""

    def refused(self, at: datetime, problems: list[str]) -> None:
        """Note that what the file holds cannot be used."""
        more = len(problems) - 1
        self._failed_at, self._error = at, problems[0] + (f" (and {more} more)" if more else "")

    @property
    def status(self) -> ConfigStatus:
        """What the report says of it."""
        return ConfigStatus(
            file=str(self.file), loaded_at=self._loaded_at, failed_at=self._failed_at, error=self._error
        )
