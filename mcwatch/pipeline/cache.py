"""The bounded cache of event bytes: read-through, and safe to lose at any moment."""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence

from mcwatch.pipeline.rendering import NATIVE

_LINE_OVERHEAD = 33


class LineCache:
    """Keeps the lines of recent outbox rows, by account, first offset and form.

    It learns only from committed rows. What was used last stays longest; ``max_bytes`` bounds it as a whole.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held = 0
        self._rows: OrderedDict[tuple[int, int, str], tuple[Sequence[bytes], int]] = OrderedDict()

    def get(self, account_id: int, first_offset: int, form: str = NATIVE) -> Sequence[bytes] | None:
        """Return a row's lines, None when they are not held."""
        key = (account_id, first_offset, form)
        row = self._rows.get(key)
        if row is None:
            return None
        self._rows.move_to_end(key)
        return row[0]

    def put(self, account_id: int, first_offset: int, lines: Sequence[bytes], form: str = NATIVE) -> None:
        """Keep a committed row's lines."""
        key = (account_id, first_offset, form)
        before = self._rows.pop(key, None)
        size = sum(map(len, lines)) + _LINE_OVERHEAD * len(lines)
        self._held += size - (before[1] if before else 0)
        self._rows[key] = (lines, size)
        while self._held > self._max_bytes and self._rows:
            _, (_, dropped) = self._rows.popitem(last=False)
            self._held -= dropped

    def natives_of(self, account_id: int) -> Collection[int]:
        """Return the first offsets of the rows of an account whose native lines are held."""
        return _Held(self._rows, account_id)


class _Held(Collection[int]):
    """A view: whether a row is held, without copying the keys."""

    def __init__(self, rows: OrderedDict[tuple[int, int, str], tuple[Sequence[bytes], int]], account_id: int) -> None:
        self._rows = rows
        self._account_id = account_id

    def __contains__(self, offset: object) -> bool:
        return (self._account_id, offset, NATIVE) in self._rows

    def __iter__(self) -> Iterator[int]:
        return (offset for account, offset, form in self._rows if account == self._account_id and form == NATIVE)

    def __len__(self) -> int:
        return sum(1 for _ in self)
