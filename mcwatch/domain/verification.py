"""The answer to "did we see everything?": what is asked, what is found, and the report that is made of it."""

from datetime import datetime
from enum import StrEnum

import msgspec

from mcwatch.domain.status import RangeStatus
from mcwatch.domain.window.ranges import Window

SCHEMA = "mcwatch.verification/1"
MOST_MISSING = 1_000
"""So many missing rows are listed; all are counted."""


class Verdict(StrEnum):
    """What was recorded of a row that the API shows now.

    ``known``: this very state. ``changed``: its mail, in an earlier state. ``missing``: nothing of its mail, although
    its time had been read completely. ``not_yet_read``: not this state, and its time had not been read.
    """

    KNOWN = "known"
    CHANGED = "changed"
    MISSING = "missing"
    NOT_YET_READ = "not_yet_read"


_RANK = {Verdict.NOT_YET_READ: 0, Verdict.KNOWN: 1, Verdict.CHANGED: 2, Verdict.MISSING: 3}


def firmer(one: Verdict | None, other: Verdict) -> Verdict:
    """Return the verdict that stands where a row was looked at twice.

    A row that was missing stays missing, though it may have been recorded between the two looks; a search whose time
    had been read says more than one whose time had not.
    """
    return other if one is None or _RANK[other] > _RANK[one] else one


class MissingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is missing: never its subject, never an address. ``event_id`` is the id of its event."""

    received_at: datetime | None
    status: str | None
    event_id: str
    search: str


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger said of a search before the verification began.

    ``covered`` reaches a second beyond the range on either side, for answers do.
    """

    name: str
    label: str
    covered: list[RangeStatus]
    not_yet_read: list[RangeStatus]
    unverifiable: list[RangeStatus]


class VerifyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to do; every search is read in every window, oldest first."""

    account: str
    start: datetime
    end: datetime
    version: str
    began_at: datetime
    windows: list[RangeStatus]
    searches: list[SearchPlan]
    notes: list[str] = []


class VerifyStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One window of one search, or a part of one: ``whole`` is the window of the plan.

    ``covered`` is what of that had been read when the verification began.
    """

    account: str
    search: str
    start: datetime
    end: datetime
    whole: RangeStatus
    covered: list[RangeStatus]
    repair: bool = False

    @property
    def window(self) -> Window:
        """The window to read."""
        return Window(self.start, self.end)


class VerifiedStep(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: fingerprints by verdict, one after the other, each once.

    ``missing`` lists some of the missing rows. ``repaired`` rows were recorded, those that cannot be decoded as dead
    letters. ``unverifiable`` is what the API does not show completely, and what of earlier windows turns out not to
    have been shown completely. ``reidentified`` rows look like rows recorded under another id. ``rest`` is what of the
    whole window is left to be asked for: a step takes about a minute.
    """

    marks: dict[Verdict, bytes]
    missing: list[MissingRow] = []
    unverifiable: list[RangeStatus] = []
    repaired: int = 0
    reidentified: int = 0
    rest: list[RangeStatus] = []


class RowCounts(msgspec.Struct, kw_only=True):
    """Rows by verdict; ``repaired`` ones are among the missing."""

    rows: int = 0
    known: int = 0
    changed: int = 0
    missing: int = 0
    not_yet_read: int = 0
    repaired: int = 0

    def count(self, verdict: Verdict, by: int = 1) -> None:
        """Count rows of a verdict; less than zero takes them back."""
        self.rows += by
        setattr(self, verdict, getattr(self, verdict) + by)


class SearchReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one search shows. ``unverifiable``: the API does not show it completely, or did not when it was read."""

    search: str
    counts: RowCounts
    not_yet_read: list[RangeStatus]
    unverifiable: list[RangeStatus]


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. In ``total`` a row counts once, however many searches show it.

    ``complete``: all of the range could be judged.
    """

    schema: str = SCHEMA
    verdict: str
    account: str
    start: datetime
    end: datetime
    began_at: datetime
    version: str
    repair: bool
    total: RowCounts
    searches: list[SearchReport]
    missing: list[MissingRow]
    notes: list[str]
    complete: bool
