"""The root of the configuration and the sections that belong to no component."""

import fnmatch
import re
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from mcwatch.domain.errors import ConfigError
from mcwatch.domain.event import EventKind
from mcwatch.domain.store_url import POSTGRESQL, SQLITE, problem_of
from mcwatch.formats import FormatConfig
from mcwatch.mimecast.config import ApiConfig
from mcwatch.option_types import Config, Duration, Secret, Size
from mcwatch.settings.accounts import OrDirectory
from mcwatch.settings.http import HttpConfig
from mcwatch.settings.notation import duration_text
from mcwatch.settings.redact import RedactConfig
from mcwatch.sinks import SinkConfig
from mcwatch.sources import SourceConfig

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_DEFAULT_STORE = "sqlite:///var/mcwatch.db"
_LEAST_RESERVE = 32 * 2**20
_JSON = "application/json"
_KEPT_BEYOND_SECS = 86400.0
"""How much longer than rows are read again their fingerprints stay: expiry and a late rescan need some time."""


class _Named(Protocol):
    @property
    def name(self) -> str: ...


NamedT = TypeVar("NamedT", bound=_Named)


def _check_name(text: str) -> str:
    if not re.fullmatch(_NAME, text) or text.endswith("\n"):
        raise PydanticCustomError(
            "name", "a name has 1 to 63 letters, digits, dots, dashes and underscores, the first a letter or digit"
        )
    return text


def _check_reserve(size: int) -> int:
    if 0 < size < _LEAST_RESERVE:
        raise PydanticCustomError("reserve", "write 0 for no reserve, or at least 32MiB: less cannot hold the log")
    return size


def _check_store_url(url: Secret) -> Secret:
    try:
        text = url.reveal()
    except ConfigError:
        # load() checks the files of all secrets, with a message of its own.
        return url
    problem = problem_of(text) if text else ""
    if problem:
        raise PydanticCustomError("store_url", "{problem}", {"problem": problem})
    return url


def _check_kinds(globs: list[str]) -> list[str]:
    for glob in globs:
        if not any(fnmatch.fnmatchcase(kind, glob) for kind in EventKind):
            raise PydanticCustomError(
                "kinds",
                "{glob} matches no kind of event; the kinds are {known}",
                {"glob": glob, "known": ", ".join(EventKind)},
            )
    return globs


def _check_unique(entries: list[NamedT]) -> list[NamedT]:
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.name in seen:
            # `index` leads the message to the second entry's line (problems.py).
            raise PydanticCustomError(
                "duplicate_name",
                "another entry is named {name} already; names must differ",
                {"name": entry.name, "index": index},
            )
        seen.add(entry.name)
    return entries


Name = Annotated[str, AfterValidator(_check_name), Field(json_schema_extra={"pattern": _NAME})]
"""Stable key of an account or destination: in events, metrics and the store."""


class LogConfig(Config):
    """Logs, always on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity written. info is one line per poll and batch."
    )
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="json for machines, console for people; auto is console on a terminal and json elsewhere."
    )


class StoreConfig(Config):
    """What survives a restart: cursors, fingerprints, undelivered events, dead letters."""

    url: Annotated[Secret, AfterValidator(_check_store_url)] = Field(
        Secret(_DEFAULT_STORE),
        description="sqlite:///path from the working directory, sqlite:////path from the root; the file is made with "
        "mode 0600. For several replicas postgresql://user:password@host:5432/database?sslmode=verify-full (a libpq "
        'URI; needs `pip install "mcwatch[postgres]"`).',
        json_schema_extra={"default": _DEFAULT_STORE},
    )
    max_backlog: Size = Field(
        2 * 2**30,
        gt=0,
        description="Undelivered bytes, as stored, at which polling pauses until a destination catches up; nothing is "
        "lost by it. Bounds the disk that the store takes.",
    )
    keep_delivered: Duration = Field(
        24 * 3600.0, ge=0, description="How long delivered events stay, for replay. A day covers a receiver's bad day."
    )
    keep_fingerprints: Duration = Field(
        31 * 86400.0,
        gt=0,
        description="How long a row is known by its fingerprint, counted from when Mimecast received the mail. Of an "
        "older row that is read again a new event comes. 31d are the API's history of 28 days and a margin for rows "
        "that it shows by another time than received.",
    )
    keep_dead_letters: Duration = Field(
        90 * 86400.0, gt=0, description="How long refused events and unreadable rows are kept for somebody to look at."
    )
    max_dead_letters: int = Field(
        10_000,
        ge=1,
        description="Dead letters kept per destination, and unreadable rows per account. A destination that reaches it "
        "stops until some are retried or discarded; of further unreadable rows only reason and digest are kept.",
    )
    reserve: Annotated[Size, AfterValidator(_check_reserve)] = Field(
        64 * 2**20,
        ge=0,
        description="Disk space set aside, released when the disk is full so that deliveries can still be recorded. 0 "
        "for none, else at least 32MiB, which is what the store's log may take twice over. SQLite only.",
    )

    @property
    def is_shared(self) -> bool:
        """Whether several replicas work on it. Raises ConfigError (secret file)."""
        return self.url.reveal().startswith(POSTGRESQL)

    @property
    def path(self) -> Path:
        """The database file; relative to the working directory unless absolute. Raises ConfigError (secret file)."""
        if self.is_shared:
            raise ConfigError(["store.url: a store of PostgreSQL has no file"])
        return Path(self.url.reveal().removeprefix(SQLITE))


class LeaseConfig(Config):
    """How accounts are spread over the replicas of a store in PostgreSQL."""

    duration: Duration = Field(
        30.0,
        ge=5,
        le=600,
        description="How long after the loss of a replica its accounts are polled by another one at the latest. "
        "Shorter finds a loss sooner and mistakes a slow database or machine for one more often.",
    )
    replica: Name | None = Field(
        None,
        description="What this replica is called in the status, the log and the database. Default: the host's name, "
        "which for a container is the pod's; give each replica its own where several share a host.",
    )


class BatchConfig(Config):
    """How many events go out together."""

    max_events: int = Field(500, ge=1, le=100_000, description="Most events in one batch.")
    max_bytes: Size = Field(
        2**20,
        gt=0,
        description="Most bytes in one batch before compression; a larger event goes alone. 1MiB suits the limits "
        "that receivers set by default.",
    )
    linger: Duration = Field(
        0.0, ge=0, le=300, description="How long an incomplete batch waits for more events; 0s sends what is there."
    )
    max_in_flight: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Most batches of an account that are on their way: sent and, where the receiver acknowledges later "
        "(splunk_hec with ack), not acknowledged yet. Default 32 there and 1 elsewhere; receivers that answer at once "
        "get one batch of an account at a time whatever this says, so that its events stay in order.",
    )


class SelectConfig(Config):
    """Which events a destination gets; an event must pass all three."""

    accounts: list[str] = Field(["*"], min_length=1, description="Account names; `*` and `?` stand for any characters.")
    kinds: Annotated[list[str], AfterValidator(_check_kinds)] = Field(
        ["*"], min_length=1, description="Kinds of event, such as `message.*` or `queue.left`."
    )
    routes: list[Literal["inbound", "outbound", "internal", "external"]] = Field(
        [], description="Routes of the mail; empty for all. An event whose route the API did not name always passes."
    )


class AccountConfig(Config):
    """One Mimecast tenant."""

    name: Name = Field(
        description="Stable name in events, metrics and the store. Renamed, the account starts anew with new event ids."
    )
    api: ApiConfig = Field(description="How to reach the account's API.")
    sources: list[SourceConfig] = Field(min_length=1, description="The feeds to read.")


class DestinationConfig(Config):
    """One place where events go."""

    name: Name = Field(description="Stable name in metrics and the store. Renamed, it is a new destination, see start.")
    sink: SinkConfig = Field(description="Where the bytes go.")
    format: FormatConfig = Field({"type": "json"}, validate_default=True, description="What the bytes are.")
    batch: BatchConfig = Field(BatchConfig(), description="How events are grouped.")
    start: Literal["latest", "earliest"] = Field(
        "latest",
        description="Where a destination new to the store begins for accounts that then exist: latest with the next "
        "event, earliest with the oldest one kept.",
    )
    when_full: Literal["pause", "skip"] = Field(
        "pause",
        description="What happens when this destination alone holds up most of store.max_backlog: pause stops polling "
        "until it takes events again, skip passes over what waits for it (counted, logged, the range kept).",
    )
    redact: RedactConfig | None = Field(
        None, description="What of the mail this destination must not see. Default: it sees everything."
    )
    select: SelectConfig = Field(SelectConfig(), description="Which events it gets. Default: all.")

    @field_validator("format")
    @classmethod
    def _check_format(cls, form: FormatConfig, info: ValidationInfo) -> FormatConfig:
        sink: SinkConfig | None = info.data.get("sink")  # missing when it is itself wrong
        if sink is not None and sink.why_no_text and form.build().content_type != _JSON:
            raise PydanticCustomError(
                "format",
                "the sink {sink} does not take {format}, which is text: {why}; or choose a format that is JSON, such "
                "as json or ecs",
                {"sink": sink.type, "format": form.type, "why": sink.why_no_text},
            )
        return form


class Settings(Config):
    """The whole configuration file."""

    log: LogConfig = Field(LogConfig(), description="What is logged, and how.")
    http: HttpConfig = Field(HttpConfig(), description="Where the pages for people and probes are served.")
    store: StoreConfig = Field(StoreConfig(), description="The durable store.")
    lease: LeaseConfig = Field(LeaseConfig(), description="How several replicas share the accounts (PostgreSQL).")
    accounts: Annotated[list[AccountConfig], Field(min_length=1), AfterValidator(_check_unique), OrDirectory()] = Field(
        description="The Mimecast accounts to watch, or the directory that holds them."
    )
    destinations: Annotated[list[DestinationConfig], AfterValidator(_check_unique)] = Field(
        min_length=1, description="Where the events go."
    )

    @model_validator(mode="after")
    def _knows_what_is_read_again(self) -> "Settings":
        reads = ((source.rescans_back_secs, account.name) for account in self.accounts for source in account.sources)
        deepest, name = max(reads)
        least = deepest + _KEPT_BEYOND_SECS
        if deepest and self.store.keep_fingerprints < least:
            # The type leads the message to the key (problems.py).
            raise PydanticCustomError(
                "keep_fingerprints",
                "too short: rescans of account {name} look back {deepest}, and would bring mail as new again whose "
                "fingerprints are gone; write {least} or longer, or a shorter look_back in those rescans",
                {"name": name, "deepest": duration_text(deepest), "least": duration_text(least)},
            )
        return self
