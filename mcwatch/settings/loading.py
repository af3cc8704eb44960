"""Loading the configuration: file and environment in, settings or the list of everything that is wrong out."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from mcwatch.domain.errors import ConfigError
from mcwatch.settings.document import Document, KeyPath, read
from mcwatch.settings.environment import overrides, process_environment, unknown_names
from mcwatch.settings.models import Settings
from mcwatch.settings.problems import UNKNOWN_KEY, from_validation, key_text
from mcwatch.settings.references import resolve, secret_files


def load(path: Path | str, environ: Mapping[str, str] | None = None) -> Settings:
    """Load and check the configuration; without ``environ`` with the variables of this process.

    The environment beats the file, the file the defaults. Raises ConfigError with every problem found, each one line
    ``file:line: key: what is wrong (value); what to do``, in the order of the file.
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
        self._unknown = list(unknown_names(environ, set(self._resolved.variables.values())))
        self._found: list[tuple[int, str]] = [
            (fault.line, f"{document.file}:{fault.line}: {key_text(fault.path)}: {fault.text}")
            for fault in document.faults
        ]

    def settings(self) -> Settings:
        data = _merge(self._resolved.data, self._overrides)
        settings: Settings | None = None
        # A later text on a key replaces an earlier one: what a value should be matters more than what is in its file.
        found = dict(secret_files(data))
        unset = {path: text for path, text in self._resolved.faults.items() if path not in self._overridden}
        try:
            settings = Settings.model_validate(data)
        except ValidationError as error:
            # Several checks may speak of one key, above all of one that holds others.
            for path, text in from_validation(error, data):
                if not any(path[: len(known)] == known for known in unset):
                    found.pop(path, None)
                    self._add(path, text)
        except ConfigError as error:
            # A check that had to look into a secret's file; which key it was, the text has to say.
            self._found += [(0, f"{self._document.file}: {text}") for text in error.problems if not found]
        for path, text in (found | unset).items():
            self._add(path, text)
        problems = [text for _, text in sorted(self._found, key=lambda found: found[0])] + self._unknown
        if settings is None or problems:
            raise ConfigError(list(dict.fromkeys(problems)))
        return settings

    def _add(self, path: KeyPath, text: str) -> None:
        variable = self._overridden.get(path)
        if variable:
            self._found.append((0, f"environment: {variable}: {text}"))
            return
        if (origin := self._resolved.variables.get(path)) and not text.startswith(UNKNOWN_KEY):
            text = f"{text}, from the environment variable {origin}" if origin not in text else text
        line = self._document.line(path)
        self._found.append((line, f"{self._document.file}:{line}: {key_text(path)}: {text}"))


def _merge(data: object, over: Mapping[str, object]) -> dict[str, object]:
    """Return the file's data with the environment's laid over it."""
    if not isinstance(data, dict):
        return dict(over)
    merged = dict(data)
    for key, value in over.items():
        merged[key] = _merge(data.get(key), value) if isinstance(value, Mapping) else value
    return merged
