"""What the sources share: what they are built with, and how an answer becomes rows."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from pydantic import Field

from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, StoreUnavailable, TransientError
from mcwatch.domain.page import FeedProgress
from mcwatch.domain.record import AwareTime, Record, Unreadable, Whole, WireAddress
from mcwatch.domain.status import CheckResult, SourceReading
from mcwatch.interfaces import Clock
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.envelope import Answer, AnswerDecoder
from mcwatch.option_types import Config, Duration
from mcwatch.sources.lenient import read_row
from mcwatch.telemetry.metrics import Metrics

K = TypeVar("K", bound=Hashable)
P = TypeVar("P")
T = TypeVar("T")
R = TypeVar("R", bound=Record)
I = TypeVar("I", bound=msgspec.Struct)  # noqa: E741 - an item of an answer

RowId = Annotated[str, msgspec.Meta(min_length=1)]
"""A Mimecast id as every documented row has one."""


class WireRow(Record, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A row under the names that both feeds spell alike; each feed adds its own spellings of the rest."""

    id: RowId | None  # a row without one is read leniently, which asks what else tells it from others
    from_envelope: WireAddress | None = msgspec.field(default=None, name="fromEnv")
    received_at: AwareTime | None = msgspec.field(default=None, name="received")
    sent_at: AwareTime | None = msgspec.field(default=None, name="sent")
    spam_score: Whole | float | None = msgspec.field(default=None, name="spamScore")
    detection_level: str | None = msgspec.field(default=None, name="detectionLevel")
    created_at: AwareTime | None = msgspec.field(default=None, name="created")
    next_attempt_at: AwareTime | None = msgspec.field(default=None, name="nextAttempt")
    locked_until: AwareTime | None = msgspec.field(default=None, name="lockedUntil")
    extra: dict[str, Any] | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="(extra)")


_MINUTE_SECS = 60.0

_OF_THE_API = frozenset(
    {FailureReason.CONNECTION, FailureReason.TIMEOUT, FailureReason.THROTTLED, FailureReason.SERVER}
)


def ends_poll(error: McwatchError) -> bool:
    """Tell whether a failure speaks of the API or the account, so that the poll's other requests would meet it too."""
    if isinstance(error, TransientError):
        return error.reason in _OF_THE_API
    return isinstance(error, (AuthError, StoreUnavailable))


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

    def requests_per_minute(self) -> float:
        """Return how many requests it makes while mail is quiet."""
        return _MINUTE_SECS / self.interval

    @property
    def searches_per_minute(self) -> float:
        """How many rows it writes to the tenant's search log."""
        return 0.0

    @property
    def domain_per_minute(self) -> float:
        """How many requests more each discovered domain takes; 0 where none are discovered."""
        return 0.0

    @property
    def rescans_back_secs(self) -> float:
        """How far back rows are asked for again long after they were read; 0 where none are."""
        return 0.0

    @abstractmethod
    def probe(self, client: MimecastClient) -> tuple[Endpoint, Mapping[str, object]]:
        """Return a small request that shows whether the source can work."""

    def review(self) -> CheckResult | None:
        """Return what ``mcwatch check`` should say of these options; None where there is nothing to say."""
        return None

    async def examine(self, client: MimecastClient) -> CheckResult | None:
        """Look, for ``mcwatch check``, at what only answers can tell; None where there is nothing to look at.

        Raises as :meth:`MimecastClient.call` does.
        """
        return None

    def reading(self, progress: FeedProgress, now: datetime) -> SourceReading:
        """Return what has been read, as the store alone can tell."""
        return SourceReading()


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


class Rounds(Generic[T]):
    """The parts of a feed (searches, queues), read one after the other, poll by poll."""

    def __init__(self, parts: Iterable[T]) -> None:
        self._parts = list(parts)

    def replace(self, parts: Iterable[T]) -> None:
        """Read these parts from now on; those there already keep their turn."""
        given = list(parts)
        kept = [part for part in self._parts if part in given]
        self._parts = kept + [part for part in given if part not in kept]

    async def read(self, pages_of: Callable[[T], AsyncIterator[P]]) -> AsyncIterator[P]:
        """Yield the pages of each part. A part that fails does not keep the others from being read.

        The error of the last one that failed is raised at the end; one that the others would meet too is raised at
        once.
        """
        failure: McwatchError | None = None
        for part in tuple(self._parts):
            try:
                async for page in pages_of(part):
                    yield page
            except McwatchError as error:
                failure = error
                if ends_poll(error):
                    # Should it be this part alone that the API stumbles over, the others get their turn next time.
                    self._parts.remove(part)
                    self._parts.append(part)
                    break
        if failure is not None:
            raise failure
