"""What the sources share: what they are built with, and how an answer becomes rows."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec
from pydantic import Field

from mcwatch.domain.errors import FailureReason, TransientError
from mcwatch.domain.record import Record, Unreadable
from mcwatch.interfaces import Clock
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.envelope import Answer, AnswerDecoder
from mcwatch.option_types import Config, Duration
from mcwatch.sources.lenient import read_row
from mcwatch.telemetry.metrics import Metrics

R = TypeVar("R", bound=Record)
I = TypeVar("I", bound=msgspec.Struct)  # noqa: E741 - an item of an answer

RowId = Annotated[str, msgspec.Meta(min_length=1)]
"""A Mimecast id as every documented row has one."""

MOST_PAGES = 10_000
"""A server that goes on naming next pages for longer than this is not telling the truth."""


def endless_paging(endpoint: Endpoint) -> TransientError:
    """Return the error for an answer that never ends."""
    return TransientError(
        f"{endpoint}: more than {MOST_PAGES} pages for one answer",
        reason=FailureReason.BAD_RESPONSE,
        remedy="the poll is tried again; if this stays, narrow the searches",
    )


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source needs beside its own configuration."""

    account: str
    client: MimecastClient
    clock: Clock
    metrics: Metrics


class SourceConfigBase(Config):
    """What every source can be told, and what can be said of it before it runs."""

    interval: Duration = Field(60.0, gt=0, description="Time from one poll to the next.")

    @property
    def requests_per_poll(self) -> int:
        """How many requests a poll makes while mail is quiet."""
        return 1

    @property
    def searches_per_poll(self) -> int:
        """How many rows a poll writes to the tenant's search log."""
        return 0

    @abstractmethod
    def probe(self, client: MimecastClient) -> tuple[Endpoint, Mapping[str, object]]:
        """Return a small request that shows whether the source can work."""

    def covered_until(self, cursors: Mapping[str, bytes]) -> datetime | None:
        """Return up to when everything was read, as stored cursors tell; None where that has no meaning."""
        return None


class RowReader(Generic[I, R]):
    """Turns answers of one endpoint into rows: the typed way where it fits, row by row where it does not.

    ``item_type`` is the one object in ``data``, ``list_key`` the key of its list of rows, ``row_type`` a row.
    """

    def __init__(self, item_type: type[I], row_type: type[R], list_key: str) -> None:
        self.decoder: AnswerDecoder[I] = AnswerDecoder(item_type)
        self._row = msgspec.json.Decoder(row_type)
        self._key = list_key
        self._attribute = next(
            field.name for field in msgspec.structs.fields(item_type) if field.encode_name == list_key
        )

    def rows(self, answer: Answer[I]) -> tuple[list[Record], list[Unreadable]]:
        """Return the rows of an answer and what could not be read."""
        if answer.items is not None:
            return [row for item in answer.items for row in getattr(item, self._attribute) or ()], []
        rows: list[Record] = []
        unreadable: list[Unreadable] = []
        for raw in (raw for item in answer.raw_items for raw in self._raw_rows(item)):
            row = self._read(raw)
            if isinstance(row, Unreadable):
                unreadable.append(row)
            else:
                rows.append(row)
        return rows, unreadable

    def _read(self, raw: bytes) -> Record | Unreadable:
        try:
            return self._row.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return read_row(raw)

    def _raw_rows(self, item: bytes) -> Sequence[bytes]:
        try:
            found = msgspec.json.decode(item, type=dict[str, msgspec.Raw]).get(self._key)
            if found is None or bytes(found) == b"null":
                return []
            if bytes(found)[:1] == b"{":
                return [bytes(found)]
            return [bytes(row) for row in msgspec.json.decode(found, type=list[msgspec.Raw])]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise TransientError(
                f"the answer's {self._key} is not a list of rows", reason=FailureReason.BAD_RESPONSE
            ) from error
