"""Which files of a directory are accounts, and what they are called."""

from collections.abc import Iterable

_ENDINGS = (".yaml", ".yml")


def account_files(names: Iterable[str]) -> list[str]:
    """Return the names of the files that are read, in order.

    Everything else is left alone: hidden files, what editors and package systems leave behind (``acme.yaml~``,
    ``.acme.yaml.swp``, ``acme.yaml.bak``), notes. Kubernetes mounts its versions as hidden directories.
    """
    return sorted(name for name in names if not name.startswith(".") and name.lower().endswith(_ENDINGS))


def account_name(file: str) -> str:
    """Return the name that an account has by its file."""
    return file.rpartition(".")[0]
