"""Lists that the API shows in pages: when one is at its end, and whether it showed everything."""

from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from mcwatch.domain.errors import FailureReason, TransientError
from mcwatch.domain.record import Record, Unreadable
from mcwatch.domain.window.truncation import looks_cut
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.envelope import Answer
from mcwatch.mimecast.errors import PageTokenInvalid
from mcwatch.mimecast.quota import Priority
from mcwatch.sources.base import RowReader

K = TypeVar("K", bound=Hashable)
R = TypeVar("R", bound=Record)
I = TypeVar("I", bound=msgspec.Struct)  # noqa: E741 - an item of an answer

MOST_PAGES = 1_000
"""A server that goes on naming next pages for longer than this is not telling the truth."""

MOST_IDLE_PAGES = 50
"""An empty page with a next one has been seen before rows (reference notes I), but not this many."""


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

    Paging a living list repeats rows and skips some (reference notes E): one that changes its length is read once more
    from the beginning. With ``must_stand_still`` it is not complete if it does so again.
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
            keys = keys_of(rows)
            if len(totals) > 1 and not again:
                # What it showed may be gone when the list is read again.
                yield Sheet(rows, keys, unreadable, number == 0, last=False, complete=False, total=answer.total_count)
                raise _ListMoved
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
