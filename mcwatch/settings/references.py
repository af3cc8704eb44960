"""Values that stand elsewhere: ``{env: NAME, default: …}`` for any scalar, ``{file: PATH}`` for secrets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mcwatch.domain.errors import ConfigError
from mcwatch.option_types import Secret
from mcwatch.settings.document import KeyPath


@dataclass
class Resolved:
    """A file's data with every ``{env:}`` replaced, and what could not be."""

    data: object = None
    variables: dict[KeyPath, str] = field(default_factory=dict)
    """The variable each replaced value came from."""
    faults: dict[KeyPath, str] = field(default_factory=dict)


def resolve(data: object, environ: Mapping[str, str]) -> Resolved:
    """Replace every ``{env: NAME}`` in the data of a file."""
    resolved = Resolved()
    resolved.data = _resolve(data, (), environ, resolved)
    return resolved


def _resolve(node: object, path: KeyPath, environ: Mapping[str, str], into: Resolved) -> object:
    if isinstance(node, list):
        return [_resolve(item, (*path, index), environ, into) for index, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    if path and "env" in node and node.keys() <= {"env", "default"}:
        return _lookup(node, path, environ, into)
    return {key: _resolve(value, (*path, key), environ, into) for key, value in node.items()}


def _lookup(node: dict[str, object], path: KeyPath, environ: Mapping[str, str], into: Resolved) -> object:
    name, default = node["env"], node.get("default")
    if not isinstance(name, str) or not name:
        into.faults[path] = "write {env: NAME} with the name of an environment variable"
    elif isinstance(default, (dict, list)):
        into.faults[path] = "the default of {env: NAME, default: VALUE} must be a single value"
    else:
        into.variables[path] = name
        if name in environ:
            return environ[name]
        if "default" not in node:
            into.faults[path] = (
                f"the environment variable {name} is not set; set it, or write {{env: {name}, default: VALUE}}"
            )
    return default


def secret_files(data: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Read every ``{file: PATH}`` once and yield what is wrong with it; contents go nowhere."""
    if isinstance(data, list):
        for index, item in enumerate(data):
            yield from secret_files(item, (*path, index))
    elif isinstance(data, dict):
        if data.keys() == {"file"} and isinstance(data["file"], str):
            if problem := _unusable(Path(data["file"])):
                yield path, problem
            return
        for key, value in data.items():
            yield from secret_files(value, (*path, key))


def _unusable(path: Path) -> str | None:
    try:
        empty = not Secret(path=path).reveal()
    except ConfigError as error:
        return f"{error}; check the path, and that the user mcwatch runs as may read it"
    return f"the secret file {path} is empty; write the secret into it" if empty else None
