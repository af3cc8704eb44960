"""Reading a directory of accounts: every file a document of its own, with all that is wrong with any of them."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from mcwatch.domain.account_files import account_files, account_name
from mcwatch.domain.errors import ConfigError
from mcwatch.settings.document import Document, Wanted, read

_MOST_BYTES = 2**20
"""A thousand times what an account takes; reading more would hold up everything for long."""
_WANTED = Wanted(
    missing="a link to a file that is not there; mend it, or remove it",
    empty="the file is empty; write the account's api and sources into it, or remove it",
    mapping="the file must be one account, a mapping with the keys api and sources, not a list or a value",
)


@dataclass
class AccountFiles:
    """What a directory holds, in the order of the files' names."""

    documents: list[Document] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Files that cannot be read as an account at all, each with a complete line that says why."""


def read_accounts(directory: Path) -> AccountFiles:
    """Read every account of a directory; raises ConfigError, saying what is wrong without where, about itself.

    A file that goes away while it is read counts as gone.
    """
    found = AccountFiles()
    for name in _names(directory):
        path = directory / name
        try:
            if _is_there(path):
                document = read(path, _WANTED)
                found.documents.append(document)
                _give_name(document, account_name(name))
        except ConfigError as error:
            if not _is_gone(path):
                found.problems += [(str(path), text) for text in error.problems]
    return found


def _names(directory: Path) -> list[str]:
    try:
        names = account_files(path.name for path in directory.iterdir())
    except FileNotFoundError as error:
        raise ConfigError([f"there is no directory {directory}; make it, or name the right one"]) from error
    except NotADirectoryError as error:
        raise ConfigError([f"{directory} is no directory; name the one that holds the accounts' files"]) from error
    except OSError as error:
        raise ConfigError(
            [f"the directory {directory} cannot be read: {error.strerror}; check its owner and mode"]
        ) from error
    if not names:
        raise ConfigError([f"{directory} holds no file *.yaml or *.yml; write one for each account"])
    return names


def _is_there(path: Path) -> bool:
    """Tell whether there is something to read, which a sub-directory is not; refuses what might never end."""
    try:
        status = path.stat()
    except OSError:
        return not _is_gone(path)  # reading it has the words
    if S_ISDIR(status.st_mode):
        return False
    if not S_ISREG(status.st_mode):
        raise ConfigError([f"{path}: not a regular file; write the account into one"])
    if status.st_size > _MOST_BYTES:
        raise ConfigError([f"{path}: larger than {_MOST_BYTES >> 20} MiB, too large to be one account; check it"])
    return True


def _is_gone(path: Path) -> bool:
    return not os.path.lexists(path)


def _give_name(document: Document, name: str) -> None:
    if isinstance(document.data, dict):
        document.data = {"name": name} | document.data
