"""The types of configuration fields that every component shares: durations, sizes, secrets, TLS.

They accept what people write (``5m``, ``512KiB``, ``{file: /run/secrets/x}``) and hand the code plain numbers and text.
"""

import re
from decimal import Decimal
from errno import EINVAL
from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic import WithJsonSchema as _WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from mcwatch.domain.errors import ConfigError
from mcwatch.tls import TlsOptions

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
_DURATION_SECS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST_SECS = 36500 * 86400.0
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)?", re.ASCII)
_LARGEST_BYTES = 2**53 - 1
_SIZE_BYTES = {
    "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
    "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip


def _parse_duration(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise PydanticCustomError("duration", "write a duration such as 30s, 5m, 1h30m or 7d")
    text = str(value).strip()
    if text in {"0", "0.0"}:
        return 0.0
    position, secs = 0, 0.0
    for match in _DURATION.finditer(text):
        if match.start() != position:
            break
        secs += float(match[1]) * _DURATION_SECS[match[2]]
        position = match.end()
    if not text or position != len(text):
        raise PydanticCustomError("duration", "write a duration with its unit, such as 30s, 5m, 1h30m or 7d")
    if secs > _LONGEST_SECS:
        raise PydanticCustomError("duration", "a duration of more than 36500d is not supported")
    return secs


def _parse_size(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise PydanticCustomError("size", "write a size such as 512KiB, 1MiB or 2GiB")
    match = _SIZE.fullmatch(str(value).strip())
    if not match:
        raise PydanticCustomError("size", "write a size such as 512KiB, 1MiB or 2GiB")
    # Decimal, because a float turns long numbers into others.
    size = int(Decimal(match[1]) * _SIZE_BYTES[match[2] or "B"])
    if size > _LARGEST_BYTES:
        raise PydanticCustomError("size", "a size of more than 8191TiB is not supported")
    return size


Duration = Annotated[
    float,
    BeforeValidator(_parse_duration),
    _WithJsonSchema(
        {
            "x-kind": "duration",
            "anyOf": [{"type": "string", "pattern": r"^\s*(0|(\d+(\.\d+)?(ms|s|m|h|d|w))+)\s*$"}, {"const": 0}],
        }
    ),
]
"""Seconds, written ``30s``, ``5m``, ``1h30m`` or ``7d``."""

Size = Annotated[
    int,
    BeforeValidator(_parse_size),
    _WithJsonSchema(
        {
            "x-kind": "size",
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": r"^\s*\d+(\.\d+)?\s*([KMGT]iB|[kKMGT]?B)?\s*$",
        }
    ),
]
"""Bytes, written ``512KiB``, ``1MiB`` or ``2GB``."""


class Secret:
    """A value that never shows itself: given in place, from the environment, or from a file.

    A file is read again whenever it changes, so a rotated secret needs no restart; one trailing newline is cut.
    """

    __slots__ = ("_cached", "_path", "_stamp", "_value")

    def __init__(self, value: str | None = None, path: Path | None = None) -> None:
        self._value = value
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._cached = ""

    @property
    def path(self) -> Path | None:
        """The file the secret is kept in, None when it was given in place."""
        return self._path

    def reveal(self) -> str:
        """Return the secret; raises ConfigError naming the file when it cannot be read."""
        if self._path is None:
            return self._value or ""
        try:
            status = self._path.stat()
            if not S_ISREG(status.st_mode):  # a pipe would be waited for, by everything
                raise OSError(EINVAL, "it is not a regular file")
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._cached = self._path.read_text("utf-8").removesuffix("\n").removesuffix("\r")
                self._stamp = stamp
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError([f"the secret file {self._path} cannot be read: {why}"]) from error
        return self._cached

    def __repr__(self) -> str:
        return "Secret(file)" if self._path else "Secret(****)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._value, self._path) == (other._value, other._path)

    def __hash__(self) -> int:
        return hash((self._value, self._path))

    @classmethod
    def _validate(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, dict) and set(value) == {"file"} and isinstance(value["file"], str):
            return cls(path=Path(value["file"]))
        if value == "":
            raise PydanticCustomError("secret", "the secret is empty")
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return cls(value=str(value))
        raise PydanticCustomError("secret", "write the secret as text in quotes, {env: NAME} or {file: PATH}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic how to read a secret."""
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(repr)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the three ways to write a secret."""
        return {
            "x-kind": "secret",
            "anyOf": [
                {"type": ["string", "integer"]},
                {"type": "object", "properties": {"env": {"type": "string"}, "default": {"type": "string"}},
                 "required": ["env"], "additionalProperties": False},
                {"type": "object", "properties": {"file": {"type": "string"}},
                 "required": ["file"], "additionalProperties": False},
            ]
        }  # fmt: skip


class Config(BaseModel):
    """Base of every configuration model: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=False)


class TlsConfig(Config):
    """TLS towards the other side."""

    ca_file: Path | None = Field(None, description="PEM file with the authorities to trust, beside the system's own.")
    cert_file: Path | None = Field(None, description="PEM file with the client certificate, where one is asked for.")
    key_file: Path | None = Field(None, description="PEM file with the client certificate's private key.")
    verify: bool = Field(True, description="Check the other side's certificate and name; off accepts anybody.")

    def build(self) -> TlsOptions:
        """Return the options as the code passes them on."""
        return TlsOptions(self.ca_file, self.cert_file, self.key_file, self.verify)
