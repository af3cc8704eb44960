"""What the process environment has to say: overrides of single keys, and the values of ``{env: NAME}``."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, create_model
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from mcwatch.settings.accounts import AccountsDirectory, OrDirectory
from mcwatch.settings.document import KeyPath
from mcwatch.settings.models import Settings

_PREFIX = "MCWATCH_"
_DELIMITER = "__"
# The command line reads the first one; the others belong to the tests.
_NO_OVERRIDES = re.compile(r"MCWATCH_(CONFIG|REQUIRE_COMPONENTS|TEST_.*)")
# Kubernetes gives every container such variables for a service named mcwatch.
_SERVICE_LINKS = re.compile(r"MCWATCH_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP|SCTP)(_.*)?)?)")


def process_environment() -> Mapping[str, str]:
    """Return the environment of this process."""
    return os.environ


@dataclass(frozen=True, slots=True)
class ServiceManagerAddress:
    """Where the service manager that started this process wants to be told of it (sd_notify(3)).

    ``watchdog_secs`` is how long it may be without a sign of life, None when nobody waits for one.
    """

    socket: str
    watchdog_secs: float | None = None


def service_manager(environ: Mapping[str, str], pid: int) -> ServiceManagerAddress | None:
    """Return the service manager of the process ``pid``, None when it was started without one."""
    socket = environ.get("NOTIFY_SOCKET", "")
    if not socket:
        return None
    usec = environ.get("WATCHDOG_USEC", "")
    mine = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    watchdog_secs = int(usec) / 1e6 if mine and usec.isascii() and usec.isdigit() and int(usec) else None
    return ServiceManagerAddress(socket, watchdog_secs)


class _Overrides(BaseSettings):
    """The sections of the configuration that the environment can reach; the fields are added below."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter=_DELIMITER, extra="ignore")


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield name, field.annotation
        elif any(isinstance(mark, OrDirectory) for mark in field.metadata):
            yield name, AccountsDirectory


def _scalars(path: KeyPath, model: type[BaseModel]) -> Iterator[KeyPath]:
    for name, field in model.model_fields.items():
        if below := _section_of(field.annotation):
            yield from _scalars((*path, name), below)
        elif get_origin(field.annotation) not in {list, dict}:
            yield (*path, name)


def _section_of(annotation: object) -> type[BaseModel] | None:
    """Return the model of a section, also of one that may be left out."""
    members = get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)
    models = [one for one in members if isinstance(one, type) and issubclass(one, BaseModel)]
    return models[0] if models else None


def override_names() -> dict[str, KeyPath]:
    """Return the variables that override a key, and which."""
    paths = [path for name, model in _sections() for path in _scalars((name,), model)]
    return {_PREFIX + _DELIMITER.join(str(part) for part in path).upper(): path for path in paths}


class _Source(EnvSettingsSource):
    """Reads the variables it is given instead of those of the process."""

    def __init__(self, model: type[BaseSettings], variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(model)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._variables.items()}


def overrides(environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    """Return what the environment sets, nested as in the file, and which variable set which key."""
    names = {name: path for name, path in override_names().items() if name in environ}
    fields: dict[str, Any] = {name: (model, model.model_construct()) for name, model in _sections()}
    model = create_model("Overrides", __base__=_Overrides, **fields)
    values = _Source(model, {name: environ[name] for name in names})()
    return values, {path: name for name, path in names.items()}


def unknown_names(environ: Mapping[str, str], referenced: set[str]) -> Iterator[str]:
    """Yield a problem for every variable that looks like an override and is none.

    ``referenced`` are the names that the file asks for with ``{env: NAME}``.
    """
    known = override_names()
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name in known or name in referenced:
            continue
        if _NO_OVERRIDES.fullmatch(name) or _SERVICE_LINKS.fullmatch(name):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"overrides are {', '.join(sorted(known))}"
        yield f"environment: {name} overrides no key; {hint}"
