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
from mcwatch.domain.window.truncation import looks_cut
from mcwatch.interfaces import Clock
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.envelope import Answer, AnswerDecoder
from mcwatch.mimecast.errors import PageTokenInvalid
from mcwatch.mimecast.quota import Priority
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

MOST_PAGES = 1_000
"""A server that goes on naming next pages for longer than this is not telling the truth."""

MOST_IDLE_PAGES = 50
"""An empty page with a next one has been seen before rows (reference notes I), but not this many."""

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

    @abstractmethod
    def probe(self, client: MimecastClient) -> tuple[Endpoint, Mapping[str, object]]:
        """Return a small request that shows whether the source can work."""

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


@dataclass(frozen=True, slots=True)
class Sheet(Generic[K]):
    """One page of a list: ``first`` of its pass, ``last``, and ``complete`` when last of a pass that showed all.

    ``total`` is how many rows the API says the list has, None where it does not say; ``lacks_total`` when only that
    says that the pass did not show all.
    """

    rows: list[Record]
    keys: list[K]
    unreadable: list[Unreadable]
    first: bool
    last: bool
    complete: bool
    total: int | None = None
    lacks_total: bool = False


class _ListMoved(Exception):  # noqa: N818 - no error of ours: the pass is begun again
    """The list changed its length while it was paged: rows may have slipped between the pages."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[I, R]):
    """A list that the API shows in pages of up to ``page_size`` rows.

    Paging a living list repeats rows and skips some (reference notes E). With ``must_stand_still`` a pass during which
    the list changed its length is not complete.
    """

    endpoint: Endpoint
    reader: RowReader[I, R]
    page_size: int
    priority: Priority = Priority.FRESH
    must_stand_still: bool = False

    async def pages(
        self,
        client: MimecastClient,
        item: Mapping[str, object],
        keys_of: Callable[[Sequence[Record]], list[K]],
        doubts: Callable[[int], bool] | None = None,
    ) -> AsyncIterator[Sheet[K]]:
        """Yield the list page by page; ``keys_of`` tells rows apart, for pages of a living list repeat some.

        ``doubts`` is asked about the length of an answer that ended, where earlier ones can tell of a hidden cap.

        A page token that the server knows no more, or a list that changes its length, starts one more pass from the
        beginning. Raises TransientError (BAD_RESPONSE) when a token is not known again, or when the pages never end.
        """
        try:
            async for sheet in self._pass(client, item, keys_of, doubts):
                yield sheet
        except (PageTokenInvalid, _ListMoved):
            try:
                async for sheet in self._pass(client, item, keys_of, doubts, again=True):
                    yield sheet
            except PageTokenInvalid as error:
                raise self._broken("the API forgets its page tokens while they are in use") from error

    async def _pass(
        self,
        client: MimecastClient,
        item: Mapping[str, object],
        keys_of: Callable[[Sequence[Record]], list[K]],
        doubts: Callable[[int], bool] | None,
        *,
        again: bool = False,
    ) -> AsyncIterator[Sheet[K]]:
        unique: set[K] = set()
        unreadable_total = 0
        token: str | None = None
        tokens: set[str | None] = {None}
        idle = 0
        totals: set[int] = set()
        for number in range(MOST_PAGES):
            answer = await client.call(
                self.endpoint,
                item,
                self.reader.decoder,
                page_size=self.page_size,
                page_token=token,
                priority=self.priority,
            )
            rows, unreadable = self.reader.rows(answer)
            totals.update(_length_told(answer, len(rows) + len(unreadable)))
            if len(totals) > 1 and not again:
                raise _ListMoved
            keys = keys_of(rows)
            known = len(unique)
            unique.update(keys)
            idle = 0 if len(unique) > known else idle + 1
            unreadable_total += len(unreadable)
            token = answer.next_token
            # Some servers name one token for a whole list, some name it again on the last page: rows tell which.
            last = token is None or (token in tokens and idle > 0)
            tokens.add(token)
            shown = len(unique) + unreadable_total
            believed = last and not (self.must_stand_still and len(totals) > 1)
            if last and doubts is not None and doubts(shown):
                believed = False
            complete = believed and self._shows_all(answer, len(rows) + len(unreadable), shown)
            lacks_total = believed and not complete and not self._looks_full(answer, len(rows) + len(unreadable), shown)
            yield Sheet(rows, keys, unreadable, number == 0, last, complete, answer.total_count, lacks_total)
            if last:
                return
            if idle >= MOST_IDLE_PAGES:
                raise self._broken(f"{idle} pages in a row that show nothing new")
        raise self._broken(f"more than {MOST_PAGES} pages for one answer")

    def _shows_all(self, answer: Answer[I], on_page: int, shown: int) -> bool:
        """Tell whether an answer without a next page showed everything; servers cut silently."""
        total = answer.total_count
        return not self._looks_full(answer, on_page, shown) and (total is None or shown >= total)

    def _looks_full(self, answer: Answer[I], on_page: int, shown: int) -> bool:
        """Tell whether the last page is one that servers stop at.

        A page as long as the size that the answer names is full, unless the answer also says that this was all: some
        servers name the number of rows there.
        """
        total, size = answer.total_count, self.page_size
        if answer.page_size and (total is None or shown < total):
            size = min(size, answer.page_size)
        return looks_cut(on_page, page_size=size)

    def _broken(self, problem: str) -> TransientError:
        return TransientError(
            f"{self.endpoint}: {problem}",
            reason=FailureReason.BAD_RESPONSE,
            remedy="the poll is tried again; if this stays, narrow the searches",
        )


def _length_told(answer: Answer[I], on_page: int) -> list[int]:
    """Return the list's length if the answer tells it; some servers tell that of the page, though more follows."""
    total = answer.total_count
    return [] if total is None or (answer.next_token and total <= on_page) else [total]


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
