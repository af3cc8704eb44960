"""Loading the configuration: file and environment in, settings or the list of everything that is wrong out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from mcwatch.domain.errors import ConfigError
from mcwatch.settings.account_files import read_accounts
from mcwatch.settings.accounts import AccountsDirectory
from mcwatch.settings.document import Document, KeyPath, read
from mcwatch.settings.environment import overrides, process_environment, unknown_names
from mcwatch.settings.models import Settings
from mcwatch.settings.problems import UNKNOWN_KEY, from_validation, key_text
from mcwatch.settings.references import resolve, secret_files

_ACCOUNTS, _DIRECTORY = "accounts", "directory"
_Rank: TypeAlias = tuple[int, str, int]
"""Where a problem stands among the others: the configuration file's first, then by file, then by line."""
_FIRST: _Rank = (0, "", 0)


def load(path: Path | str, environ: Mapping[str, str] | None = None) -> Settings:
    """Load and check the configuration; without ``environ`` with the variables of this process.

    The environment beats the file, the file the defaults. Raises ConfigError with every problem found, each one line
    ``file:line: key: what is wrong (value); what to do``, in the order of the file
    and then of the files of its accounts.
    """
    if environ is None:
        environ = process_environment()
    document = read(Path(path))
    return _Loading(document, environ).settings()


class _Loading:
    """One attempt to make settings of a document and an environment."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._resolved = resolve(document.data, environ)
        self._overrides, self._overridden = overrides(environ)
        self._data = _merge(self._resolved.data, self._overrides)
        self._files: list[Document] = []
        """Those that the accounts are from, in the accounts' order; none when the list is in the document."""
        self._said: set[KeyPath] = set()
        """Keys of which all has been said."""
        self._found: list[tuple[_Rank, str]] = []
        self._take_directory(environ)
        for one in (document, *self._files):
            for fault in one.faults:
                self._note(one, fault.line, f"{key_text(fault.path)}: {fault.text}")
        self._unknown = list(unknown_names(environ, set(self._resolved.variables.values())))

    def settings(self) -> Settings:
        data = self._data
        settings: Settings | None = None
        # A later text on a key replaces an earlier one: what a value should be matters more than what is in its file.
        found = dict(secret_files(data))
        unset = {path: text for path, text in self._resolved.faults.items() if path not in self._overridden}
        said = self._said | unset.keys()
        try:
            settings = Settings.model_validate(data)
        except ValidationError as error:
            # Several checks may speak of one key, above all of one that holds others.
            for path, text in from_validation(error, data):
                if not any(path[: len(known)] == known for known in said):
                    found.pop(path, None)
                    self._add(path, text)
        except ConfigError as error:
            # A check that had to look into a secret's file; which key it was, the text has to say.
            self._found += [(_FIRST, f"{self._document.file}: {text}") for text in error.problems if not found]
        for path, text in (found | unset).items():
            self._add(path, text)
        problems = [text for _, text in sorted(self._found, key=lambda found: found[0])] + self._unknown
        if settings is None or problems:
            raise ConfigError(list(dict.fromkeys(problems)))
        return settings

    def _take_directory(self, environ: Mapping[str, str]) -> None:
        """Put the accounts of a directory in the place of its name, where the accounts are in one."""
        given = self._data.get(_ACCOUNTS)
        if not isinstance(given, dict):
            return
        self._said.add((_ACCOUNTS,))
        if _DIRECTORY not in given:
            self._add((_ACCOUNTS,), "a list of accounts is expected here, or {directory: PATH}")
            return
        if (_ACCOUNTS, _DIRECTORY) in self._resolved.faults.keys() - self._overridden.keys():
            return
        try:
            directory = AccountsDirectory.model_validate(given).directory
            found = read_accounts(Path(self._document.file).parent / directory)
        except ValidationError as error:
            for path, text in from_validation(error, given, AccountsDirectory):
                self._add((_ACCOUNTS, *path), text)
            return
        except ConfigError as error:
            self._add((_ACCOUNTS, _DIRECTORY), str(error))
            return
        self._found += [((1, file, 0), text) for file, text in found.problems]
        if found.documents:
            self._said.discard((_ACCOUNTS,))
            self._install(found.documents, environ)

    def _install(self, files: list[Document], environ: Mapping[str, str]) -> None:
        self._files = files
        resolved = resolve({_ACCOUNTS: [file.data for file in files]}, environ)
        self._resolved.variables |= resolved.variables
        self._resolved.faults |= resolved.faults
        if isinstance(resolved.data, dict):
            self._data |= resolved.data
        names: dict[object, str] = {}
        for index, account in enumerate(self._data[_ACCOUNTS]):
            name, file = account.get("name"), files[index].file
            if isinstance(name, str) and names.setdefault(name, file) != file:
                path = (_ACCOUNTS, index, "name")
                self._said.add(path)
                self._add(path, f"{names[name]} is an account of this name already; names must differ (value {name!r})")

    def _add(self, path: KeyPath, text: str) -> None:
        variable = self._overridden.get(path)
        if variable:
            self._found.append((_FIRST, f"environment: {variable}: {text}"))
            return
        if (origin := self._resolved.variables.get(path)) and not text.startswith(UNKNOWN_KEY):
            text = f"{text}, from the environment variable {origin}" if origin not in text else text
        document, inner = self._document, path
        if self._files and len(path) > 1 and path[0] == _ACCOUNTS and isinstance(path[1], int):
            document, inner = self._files[path[1]], path[2:]
            if inner == ("name",) and inner not in document.lines:
                text = f"{text}, the file's name; rename the file, or write name: into it"
        self._note(document, document.line(inner), f"{key_text(inner)}: {text}")

    def _note(self, document: Document, line: int, text: str) -> None:
        rank = (0, "", line) if document is self._document else (1, document.file, line)
        self._found.append((rank, f"{document.file}:{line}: {text}"))


def _merge(data: object, over: Mapping[str, object]) -> dict[str, Any]:
    """Return the file's data with the environment's laid over it."""
    if not isinstance(data, dict):
        return dict(over)
    merged = dict(data)
    for key, value in over.items():
        merged[key] = _merge(data.get(key), value) if isinstance(value, Mapping) else value
    return merged
