"""What a command that only talks to the running daemon needs of the configuration: where its store is, and names.

Reading it takes a tenth of the time of loading the configuration, asks for no secret, and works while the file is being
changed into something that cannot be used: the daemon goes on with what it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_SQLITE = "sqlite:///"
# The one written in C where PyYAML has it: a file with a thousand accounts takes a tenth of a second then, not two.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class Outline:
    """What the file says in plain words; ``store_file`` is None where it takes the whole configuration to know it."""

    store_file: Path | None = None
    accounts: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()


def outline(config: Path) -> Outline:
    """Read a configuration file; what cannot be read is left out."""
    try:
        data = yaml.load(config.read_bytes(), Loader=_LOADER)  # noqa: S506 - the base loader makes nothing but text
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return Outline()
    if not isinstance(data, Mapping):
        return Outline()
    store = data.get("store")
    url = store.get("url") if isinstance(store, Mapping) else None
    return Outline(store_of_url(url), _names(data.get("accounts")), _names(data.get("destinations")))


def store_of_url(url: object) -> Path | None:
    """Return the database file of a store's URL, None where it is none that names a file."""
    return Path(url.removeprefix(_SQLITE)) if isinstance(url, str) and url.startswith(_SQLITE) else None


def store_file(config: Path, url: str | None) -> Path:
    """Return the database file, where ``url`` beats the file; raises ConfigError when the configuration is no help."""
    known = store_of_url(url) if url else outline(config).store_file
    if known is not None:
        return known
    from mcwatch import settings

    return settings.load(config).store.path


def _names(entries: object) -> tuple[str, ...]:
    if not isinstance(entries, list):
        return ()
    names = [entry.get("name") for entry in entries if isinstance(entry, Mapping)]
    return tuple(name for name in names if isinstance(name, str))
