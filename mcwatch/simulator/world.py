"""One account's mail: a pure function of seed, start and now, plus what was added by hand.

Mails lie in slots of one minute, by the time they were received. A slot is generated when it is first looked at and
remembers its rows until the first of them changes, so a window of 100,000 mails is paged without looking at each.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from mcwatch.simulator.births import RETRY_SLOTS, SLOT_SECS, Births
from mcwatch.simulator.lives import LONGEST_STAY
from mcwatch.simulator.mail import FinderState, Mail, QueueState, state_at

EVERYTHING: Final = ""
_MOST_SLOTS: Final = 50_000


class Row(NamedTuple):
    """A mail with the status the finder shows."""

    mail: Mail
    state: FinderState


class Entry(NamedTuple):
    """A mail with its state in the processing queue."""

    mail: Mail
    state: QueueState


class Found(NamedTuple):
    """One page of a search, and how many rows the search has at this instant."""

    rows: list[Row]
    total: int


class Drawn(NamedTuple):
    """What the generator made of one slot: mail received in it, and in a later one."""

    own: tuple[Mail, ...]
    late: tuple[Mail, ...]


class Search(NamedTuple):
    """A finder search: an index key, a window in seconds since 1970, and a finer test of each row."""

    key: str
    start: float
    end: float
    matches: Callable[[Row], bool] | None = None
    newest_first: bool = True
    end_inclusive: bool = True

    def holds(self, received: int) -> bool:
        """Tell whether the window holds this second."""
        return self.start <= received and (received <= self.end if self.end_inclusive else received < self.end)


class Slot:
    """The mails received within one minute, newest first, indexed by sender and recipient domain."""

    def __init__(self, mails: Sequence[Mail]) -> None:
        ordered = sorted(mails, key=lambda mail: (-mail.received, mail.uid))
        self.queued = [mail for mail in ordered if mail.queue_states]
        self.empties_at = max((mail.leaves_queue_at for mail in self.queued), default=-math.inf)
        self._mails: dict[str, list[Mail]] = defaultdict(list)
        for mail in ordered:
            for key in _keys(mail):
                self._mails[key].append(mail)
        self._rows: dict[str, tuple[float, float, list[Row]]] = {}

    def rows(self, key: str, now: float) -> list[Row]:
        """Return the rows the finder shows at this instant under a key."""
        since, until, rows = self._rows.get(key, (math.inf, math.inf, []))
        if since <= now < until:
            return rows
        rows, until = [], math.inf
        for mail in self._mails.get(key, ()):
            state, next_at = state_at(mail.finder_states, now)
            until = min(until, next_at)
            if state is not None and state.status:
                rows.append(Row(mail, state))
        self._rows[key] = (now, until, rows)
        return rows


class World:
    """What exists in one account; the instant asked about is passed in with each question."""

    def __init__(self, births: Births, origin: float, dwell_secs: float) -> None:
        self._births = births
        self._origin = math.floor(origin)
        self._stopped_at = math.inf
        self._queue_slots = math.ceil(LONGEST_STAY * dwell_secs / SLOT_SECS) + 1
        self._slots: dict[int, Slot] = {}
        self._drawn: dict[int, Drawn] = {}
        self._added: dict[int, list[Mail]] = defaultdict(list)
        self._added_to_queue: list[Mail] = []

    def find(self, search: Search, now: float, offset: int, limit: int) -> Found:
        """Return the rows from `offset` on, at most `limit`, as the finder shows them now."""
        page: list[Row] = []
        total = 0
        for number in self._numbers(search, now):
            rows = self._matching(number, search, now)
            first = max(offset - total, 0)
            if first < len(rows) and len(page) < limit:
                page += rows[first : first + limit - len(page)]
            total += len(rows)
        return Found(page, total)

    def queue(self, kind: str, now: float) -> list[Entry]:
        """Return what is in one of the two queues now, newest first."""
        entries = []
        for mail in self._maybe_queued(now):
            state, _ = state_at(mail.queue_states, now)
            if state is not None and state.queue == kind:
                entries.append(Entry(mail, state))
        entries.sort(key=lambda entry: (-entry.mail.received, entry.mail.uid))
        return entries

    def add(self, mail: Mail) -> None:
        """Add a mail with a life of its own; the slot it lies in is made anew."""
        number = mail.received // SLOT_SECS
        self._added[number].append(mail)
        self._slots.pop(number, None)
        if mail.queue_states:
            self._added_to_queue.append(mail)

    def number_added(self) -> int:
        """Count what was added by hand."""
        return sum(len(mails) for mails in self._added.values())

    def stop(self, now: float) -> None:
        """Let no mail be born after this instant; what exists lives on."""
        self._stopped_at = min(self._stopped_at, now)
        self._slots.clear()

    def queue_empty_at(self, now: float) -> float:
        """Return when the last mail that exists now will have left the queue for good."""
        return max((mail.leaves_queue_at for mail in self._maybe_queued(now)), default=now)

    def _numbers(self, search: Search, now: float) -> range:
        oldest = min([self._origin, *(number * SLOT_SECS for number in self._added)])
        first = math.floor(max(search.start, oldest))
        last = math.floor(min(search.end, now))
        numbers = range(first // SLOT_SECS, last // SLOT_SECS + 1)
        return numbers[::-1] if search.newest_first else numbers

    def _matching(self, number: int, search: Search, now: float) -> list[Row]:
        rows = self._slot(number).rows(search.key, now)
        inside = search.holds(number * SLOT_SECS) and search.holds((number + 1) * SLOT_SECS - 1)
        if not inside:
            rows = [row for row in rows if search.holds(row.mail.received)]
        if search.matches is not None:
            rows = [row for row in rows if search.matches(row)]
        return rows if search.newest_first else rows[::-1]

    def _maybe_queued(self, now: float) -> Iterator[Mail]:
        last = math.floor(now) // SLOT_SECS
        first = last - self._queue_slots
        for number in range(first, last + 1):
            slot = self._slot(number)
            if slot.empties_at > now:
                yield from slot.queued
        # Mail added by hand may stay longer than any drawn life does.
        yield from (mail for mail in self._added_to_queue if mail.received // SLOT_SECS < first)

    def _slot(self, number: int) -> Slot:
        slot = self._slots.get(number)
        if slot is None:
            if len(self._slots) >= _MOST_SLOTS:
                self._slots.clear()
                self._drawn.clear()
            slot = self._slots[number] = Slot(list(self._mails(number)))
        return slot

    def _mails(self, number: int) -> Iterator[Mail]:
        # A deferred sender comes again some minutes later: that row is drawn with the first one, in an earlier slot.
        drawn = [*self._drawn_in(number).own]
        for earlier in range(number - RETRY_SLOTS, number):
            drawn += (mail for mail in self._drawn_in(earlier).late if mail.received // SLOT_SECS == number)
        yield from (mail for mail in drawn if self._origin <= mail.born_at <= self._stopped_at)
        yield from self._added.get(number, ())

    def _drawn_in(self, number: int) -> Drawn:
        drawn = self._drawn.get(number)
        if drawn is None:
            mails = tuple(self._births.of(number))
            drawn = self._drawn[number] = Drawn(
                own=tuple(mail for mail in mails if mail.received // SLOT_SECS == number),
                late=tuple(mail for mail in mails if mail.received // SLOT_SECS != number),
            )
        return drawn


def _keys(mail: Mail) -> set[str]:
    keys = {EVERYTHING, sender_key(mail.envelope_from.domain), sender_key(mail.header_from.domain)}
    keys.update(recipient_key(recipient.domain) for recipient in mail.to)
    return keys


def sender_key(domain: str) -> str:
    """Name the index of mails with a sender, in envelope or header, of exactly this domain."""
    return f"from:{domain}"


def recipient_key(domain: str) -> str:
    """Name the index of mails with a recipient of exactly this domain."""
    return f"to:{domain}"
