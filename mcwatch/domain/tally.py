"""Adding up a verification: step by step, each row once, and the report that is made of it."""

from collections.abc import Iterator

import msgspec

from mcwatch.domain.backfill import ranges_of, utc_text, windows_of_ranges
from mcwatch.domain.fingerprint import MARK_BYTES
from mcwatch.domain.identity import UNSTABLE_REMEDY
from mcwatch.domain.status import RangeStatus
from mcwatch.domain.verification import (
    MOST_MISSING,
    MissingRow,
    RowCounts,
    SearchPlan,
    SearchReport,
    Verdict,
    VerifiedStep,
    VerifyPlan,
    VerifyReport,
    VerifyStep,
    firmer,
)
from mcwatch.domain.window.ranges import ONE_SECOND, Window, merged, within, without

_MOST_COVERED = 300
"""So many ranges of a window go into one request."""

_LOOKED_AT_TWICE = frozenset({"changed", "missing"})


class _SearchTally:
    """What has been found by one search."""

    def __init__(self, plan: SearchPlan) -> None:
        self.plan = plan
        self.counts = RowCounts()
        self.seen: dict[bytes, Verdict] = {}
        self._cut: list[Window] = []

    def note_cut(self, window: Window, found: VerifiedStep) -> None:
        """Take note of what could not be verified; of a window that was read, only what was found of it by that."""
        read = without([window], windows_of_ranges(found.rest))
        self._cut = without(self._cut, read) + windows_of_ranges(found.unverifiable)

    @property
    def unverifiable(self) -> list[Window]:
        """What cannot be verified, be it that it was not shown completely when polls read it, or now."""
        return merged([*windows_of_ranges(self.plan.unverifiable), *self._cut])


class Tally:
    """Adds up the steps of a verification, which must come in the order of the plan's windows, parts after wholes."""

    def __init__(self, plan: VerifyPlan, *, repair: bool) -> None:
        self._plan = plan
        self._repair = repair
        self._searches = {one.name: _SearchTally(one) for one in plan.searches}
        self._total = RowCounts()
        self._missing: dict[str, MissingRow] = {}
        self._reidentified = 0
        self._window: RangeStatus | None = None
        self._seen: dict[bytes, Verdict] = {}
        self._before: frozenset[bytes] = frozenset()

    def _windows(self) -> Iterator[Window]:
        """Yield the plan's windows, halved where the ledger says more of one than a request holds."""
        pending = windows_of_ranges(self._plan.windows)[::-1]
        while pending:
            window = pending.pop()
            covered = [windows_of_ranges(search.covered) for search in self._plan.searches]
            most = max((len(within(one, window.start, window.end)) for one in covered), default=0)
            halves = window.halves() if most > _MOST_COVERED else None
            if halves is None:
                yield window
            else:
                pending.extend(halves[::-1])

    def steps(self) -> Iterator[VerifyStep]:
        """Yield what to ask for."""
        for window in self._windows():
            for search in self._plan.searches:
                covered = windows_of_ranges(search.covered)
                yield VerifyStep(
                    account=self._plan.account,
                    search=search.name,
                    start=window.start,
                    end=window.end,
                    whole=RangeStatus(window.start, window.end),
                    covered=ranges_of(within(covered, window.start - ONE_SECOND, window.end + ONE_SECOND)),
                    repair=self._repair,
                )

    @property
    def words(self) -> str:
        """How things stand, in a few words."""
        return f"{self._total.rows:,} rows read, {self._total.missing:,} missing"

    def add(self, step: VerifyStep, found: VerifiedStep) -> None:
        """Add what a step has found."""
        if step.whole != self._window:
            # Answers reach a second into their neighbours, where only rows not known are looked at.
            self._before = frozenset(mark for mark, verdict in self._seen.items() if verdict in _LOOKED_AT_TWICE)
            self._seen, self._window = {}, step.whole
            for one in self._searches.values():
                one.seen = {}
        search = self._searches[step.search]
        for verdict, joined in found.marks.items():
            for at in range(0, len(joined), MARK_BYTES):
                self._add(search, joined[at : at + MARK_BYTES], verdict)
        self._total.repaired += found.repaired
        search.counts.repaired += found.repaired
        self._reidentified += found.reidentified
        search.note_cut(step.window, found)
        for row in found.missing:
            if len(self._missing) < MOST_MISSING:
                self._missing.setdefault(row.event_id, msgspec.structs.replace(row, search=search.plan.label))

    def _add(self, search: _SearchTally, mark: bytes, verdict: Verdict) -> None:
        if mark in self._before:
            return
        _count(search.counts, search.seen, mark, verdict)
        _count(self._total, self._seen, mark, verdict)

    def _doubts(self) -> list[str]:
        if not self._reidentified:
            return []
        note = (
            f"{self._reidentified:,} times a row looked like a recorded one under another id: if this tenant's ids "
            f"do not last, it is not missing; {UNSTABLE_REMEDY}"
        )
        return [note]

    def report(self) -> VerifyReport:
        """Return the report of what has been added."""
        plan = self._plan
        searches = [
            SearchReport(
                search=one.plan.label,
                counts=one.counts,
                not_yet_read=one.plan.not_yet_read,
                unverifiable=ranges_of(within(one.unverifiable, plan.start, plan.end)),
            )
            for one in self._searches.values()
        ]
        complete = not self._total.not_yet_read and not any(one.not_yet_read or one.unverifiable for one in searches)
        return VerifyReport(
            verdict=verdict_in_words(self._total, complete=complete, repair=self._repair),
            account=plan.account,
            start=plan.start,
            end=plan.end,
            began_at=plan.began_at,
            version=plan.version,
            repair=self._repair,
            total=self._total,
            searches=searches,
            missing=sorted(self._missing.values(), key=_by_time),
            notes=[*plan.notes, *self._doubts()],
            complete=complete,
        )


def _count(counts: RowCounts, seen: dict[bytes, Verdict], mark: bytes, verdict: Verdict) -> None:
    """Count a row once, by the verdict that stands."""
    known = seen.get(mark)
    firm = firmer(known, verdict)
    if firm is not known:
        if known is not None:
            counts.count(known, -1)
        counts.count(firm)
        seen[mark] = firm


def verdict_in_words(total: RowCounts, *, complete: bool, repair: bool) -> str:
    """Return the answer as one sentence that can be quoted."""
    judged = total.known + total.changed + total.missing
    rest = "" if complete else "; a part of the range could not be judged"
    if not judged and not complete:
        return "nothing could be judged: the range had not been read, or the API does not show it completely"
    if not total.missing:
        states = "all known" if not total.changed else f"{total.known:,} known, {total.changed:,} changed since"
        return f"nothing is missing: {_counted(judged, 'row')} read, {states}{rest}"
    if repair:
        subject = "1 message was" if total.missing == 1 else f"{total.missing:,} messages were"
        return f"{subject} missing, {total.repaired:,} recorded now, of {_counted(judged, 'row')} read{rest}"
    subject = "1 message is" if total.missing == 1 else f"{total.missing:,} messages are"
    return f"{subject} missing, of {_counted(judged, 'row')} read{rest}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _by_time(row: MissingRow) -> tuple[bool, str, str]:
    return row.received_at is None, "" if row.received_at is None else utc_text(row.received_at), row.event_id
