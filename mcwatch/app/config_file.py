"""The configuration file that a daemon works by, and what became of the newest one."""

import stat
from datetime import datetime
from pathlib import Path

from mcwatch.domain.errors import ConfigError
from mcwatch.domain.status import ConfigStatus
from mcwatch.settings import Settings, load

_MOST_BYTES = 16 * 2**20
"""Thirty times what a thousand accounts take; reading more would hold up everything for minutes."""


class ConfigFile:
    """Which file, since when, and why a newer one is not at work."""

    def __init__(self, file: Path, at: datetime) -> None:
        self.file = file
        self._loaded_at = at
        self._failed_at: datetime | None = None
        self._error = ""

    def read(self) -> Settings:
        """Read the file again; raises ConfigError, also for what might never end, such as a pipe. Blocks."""
        try:
            status = self.file.stat()
        except OSError:
            return load(self.file)  # has the words for it
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise ConfigError([f"{self.file}: not a regular file, and only such a one can be read again; restart"])
        if status.st_size > _MOST_BYTES:
            raise ConfigError([f"{self.file}: larger than {_MOST_BYTES >> 20} MiB, too large to be a configuration"])
        return load(self.file)

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
