"""Reading a past range again: what is asked and answered step by step, and how an interrupted run goes on.

Whoever asks (a command) holds the plan and asks for one window of one search after the other; what each has read is
kept in a cursor, in the transaction of its pages.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from mcwatch.domain.errors import PermanentError
from mcwatch.domain.status import RangeStatus
from mcwatch.domain.window.coverage import Cover, Span, windows_of
from mcwatch.domain.window.ranges import Window, merged, within, without

RESUMES_WITHIN = timedelta(days=1)
"""A run interrupted longer ago than this is begun anew: what it read may have changed since."""

_CURSOR = "backfill:"


class RangeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A past range of an account; ``anew`` lets what an interrupted run has read be read again."""

    account: str
    start: datetime
    end: datetime
    anew: bool = False


class BackfillStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One window of one search, which is part of ``whole``."""

    account: str
    search: str
    start: datetime
    end: datetime
    whole: RangeStatus

    @property
    def window(self) -> Window:
        """The window to read."""
        return Window(self.start, self.end)


class BackfillPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is left to read of a range, in the order to be read; ``labels`` says what the searches are called."""

    account: str
    start: datetime
    end: datetime
    version: str
    began_at: datetime
    steps: list[BackfillStep]
    labels: dict[str, str]
    notes: list[str] = []


class BackfillCounts(msgspec.Struct, kw_only=True):
    """Rows of answers; one that several searches or windows show counts each time. ``new`` ones became events."""

    rows: int = 0
    new: int = 0
    known: int = 0
    undecodable: int = 0

    def add(self, other: "BackfillCounts") -> None:
        """Add to these."""
        self.rows += other.rows
        self.new += other.new
        self.known += other.known
        self.undecodable += other.undecodable


class BackfilledStep(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a window; ``incomplete`` are seconds that hold more than an answer shows.

    ``rest`` is what of it is left to be asked for: a step takes about a minute.
    """

    counts: BackfillCounts
    incomplete: list[RangeStatus] = []
    finished: bool = False
    """All of the range has been read, by every search."""
    rest: list[RangeStatus] = []


class BackfillReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has done; the searches by their labels."""

    account: str
    start: datetime
    end: datetime
    version: str
    began_at: datetime
    searches: dict[str, BackfillCounts]
    total: BackfillCounts
    incomplete: list[RangeStatus]
    notes: list[str]

    def add(self, label: str, step: BackfilledStep) -> None:
        """Add a step of the search that is called ``label``."""
        self.searches.setdefault(label, BackfillCounts()).add(step.counts)
        self.total.add(step.counts)
        self.incomplete.extend(step.incomplete)


def begin_report(plan: BackfillPlan) -> BackfillReport:
    """Return the report of a run that has done nothing yet."""
    return BackfillReport(
        account=plan.account,
        start=plan.start,
        end=plan.end,
        version=plan.version,
        began_at=plan.began_at,
        searches={label: BackfillCounts() for label in plan.labels.values()},
        total=BackfillCounts(),
        incomplete=[],
        notes=plan.notes,
    )


class Progress(msgspec.Struct, frozen=True):
    """What an unfinished run has read, by search; ``at`` is when it last went on."""

    at: datetime
    done: dict[str, list[RangeStatus]] = {}

    def windows(self, search: str) -> list[Window]:
        """Return what was read of a search."""
        return [Window(one.start, one.end) for one in self.done.get(search, ())]

    def after(self, search: str, covered: Sequence[Span], at: datetime) -> "Progress":
        """Return the progress after a page of a search; what should not have been believed is to be read again."""
        doubted = windows_of(covered, Cover.UNREAD)
        read = windows_of(covered, Cover.READ, Cover.AGED, Cover.INCOMPLETE)
        done = merged([*without(self.windows(search), doubted), *read])
        return Progress(at, {**self.done, search: ranges_of(done)})


def ranges_of(windows: Iterable[Window]) -> list[RangeStatus]:
    """Return windows as reports have them."""
    return [RangeStatus(window.start, window.end) for window in windows]


def windows_of_ranges(ranges: Iterable[RangeStatus]) -> list[Window]:
    """Return the ranges of a report or request as windows."""
    return [Window(one.start, one.end) for one in ranges]


def utc_text(at: datetime) -> str:
    """Return a time of whole seconds as people and cursors read it: RFC 3339 in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cursor_name(whole: Window) -> str:
    """Return the name under which the progress through a range is kept."""
    return f"{_CURSOR}{utc_text(whole.start)}/{utc_text(whole.end)}"


def encode_progress(progress: Progress) -> bytes:
    """Return the progress as it is stored."""
    return msgspec.json.encode(progress)


def decode_progress(stored: bytes | None) -> Progress | None:
    """Read a stored progress; None when there is none."""
    return None if stored is None else msgspec.json.decode(stored, type=Progress)


def whole_range(name: str) -> Window | None:
    """Return the range of a progress from its cursor's name; None for any other cursor."""
    if not name.startswith(_CURSOR):
        return None
    start, _, end = name.removeprefix(_CURSOR).partition("/")
    return Window(datetime.fromisoformat(start), datetime.fromisoformat(end))


def is_recent(progress: Progress, now: datetime) -> bool:
    """Tell whether a run can go on from here."""
    return abs(now - progress.at) <= RESUMES_WITHIN


class Interrupted:
    """The runs that have not finished: those recent enough to go on from, and those over which time has passed."""

    def __init__(self, cursors: Mapping[str, bytes], whole: Window, now: datetime) -> None:
        """Look through an account's cursors for what concerns a range."""
        self._whole = whole
        self._recent: list[Progress] = []
        self.names: list[str] = []
        """The cursors that are of no more use when the range has been read: those that overlap, those too old."""
        for name, value in cursors.items():
            other = whole_range(name)
            progress = decode_progress(value) if other else None
            if other is None or progress is None:
                continue
            recent = is_recent(progress, now)
            if recent and other.clipped(whole.start, whole.end) is None:
                continue
            self.names.append(name)
            if recent:
                self._recent.append(progress)

    def done(self, search: str) -> list[Window]:
        """Return what of the range has been read."""
        read = [window for progress in self._recent for window in progress.windows(search)]
        return within(merged(read), self._whole.start, self._whole.end)

    @property
    def stopped_at(self) -> datetime:
        """When the last of them went on for the last time; only for those that have read something."""
        return max(progress.at for progress in self._recent)

    def owed(self, search: str) -> list[Window]:
        """Return what of the range is left to read."""
        return without([self._whole], self.done(search))


def plan_steps(request: RangeRequest, owed: Mapping[str, Sequence[Window]], step: timedelta) -> list[BackfillStep]:
    """Cut what is owed of each search into windows no wider than ``step``, oldest first."""
    whole = RangeStatus(request.start, request.end)
    pieces = sorted(
        (piece, name) for name, windows in owed.items() for window in windows for piece in window.pieces(step)
    )
    return [
        BackfillStep(account=request.account, search=name, start=piece.start, end=piece.end, whole=whole)
        for piece, name in pieces
    ]


def check_window(window: Window) -> Window:
    """Return the window of a request as UTC; raises PermanentError for one that is none."""
    if window.start.tzinfo is None or window.end.tzinfo is None or window.start >= window.end:
        raise PermanentError("the range has no length: it must begin before it ends", remedy="give --from before --to")
    return Window(
        window.start.astimezone(UTC).replace(microsecond=0), window.end.astimezone(UTC).replace(microsecond=0)
    )
