"""What a command that only talks to the running daemon needs of the configuration: where its store is, and names.

Reading it takes a tenth of the time of loading the configuration, asks for no secret, and works while the file is being
changed into something that cannot be used: the daemon goes on with what it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mcwatch.domain.account_files import account_files, account_name

_SQLITE = "sqlite:///"
_SHARED = ("postgresql://", "postgres://")
_LISTEN = "127.0.0.1:9640"
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
    data = _mapping(config)
    store = data.get("store")
    url = store.get("url") if isinstance(store, Mapping) else None
    accounts = data.get("accounts")
    directory = accounts.get("directory") if isinstance(accounts, Mapping) else None
    names = _names_in(config.parent / directory) if isinstance(directory, str) else _names(accounts)
    return Outline(store_of_url(url), names, _names(data.get("destinations")))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a running daemon is asked, in plain words; ``store_file`` is None for a store that several share.

    ``knows_store`` and ``listen`` tell where it takes the whole configuration: by False and by None.
    """

    store_file: Path | None = None
    knows_store: bool = False
    listen: str | None = _LISTEN
    speaks_tls: bool = False


def place(config: Path) -> Place:
    """Read of a configuration file where the daemon is asked."""
    data = _mapping(config)
    store, http = _section(data, "store"), _section(data, "http")
    url, listen = store.get("url"), http.get("listen", _LISTEN)
    return Place(
        store_of_url(url), knows(url), listen if isinstance(listen, str) else None, bool(_section(http, "tls"))
    )


def knows(url: object) -> bool:
    """Tell whether a store's URL says by itself what it names."""
    return isinstance(url, str) and url.startswith((_SQLITE, *_SHARED))


def store_of_url(url: object) -> Path | None:
    """Return the database file of a store's URL, None where it is none that names a file."""
    return Path(url.removeprefix(_SQLITE)) if isinstance(url, str) and url.startswith(_SQLITE) else None


def store_file(config: Path, url: str | None) -> Path | None:
    """Return the database file, None for a store that several processes share; ``url`` beats the file.

    Raises ConfigError when the configuration is no help.
    """
    known = Place(store_of_url(url), knows(url)) if url else place(config)
    if known.knows_store:
        return known.store_file
    from mcwatch import settings

    store = settings.load(config).store
    return None if store.is_shared else store.path


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


def _mapping(file: Path) -> Mapping[str, Any]:
    try:
        data = yaml.load(file.read_bytes(), Loader=_LOADER)  # noqa: S506 - the base loader makes nothing but text
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, Mapping) else {}


def _names_in(directory: Path) -> tuple[str, ...]:
    """Return the names of the accounts in a directory of files."""
    try:
        files = account_files(path.name for path in directory.iterdir())
    except OSError:
        return ()
    return _names([{"name": account_name(file), **_mapping(directory / file)} for file in files])


def _names(entries: object) -> tuple[str, ...]:
    if not isinstance(entries, list):
        return ()
    names = [entry.get("name") for entry in entries if isinstance(entry, Mapping)]
    return tuple(name for name in names if isinstance(name, str))
