"""What must hold of the outbox and of the ledger, judged by the model world and by what the API has really shown."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from mcwatch.domain.page import FeedProgress, FinderPage
from mcwatch.domain.window.coverage import BRIEF_HISTORY, Cover, Span, windows_of
from mcwatch.domain.window.ranges import ONE_SECOND, Window, merged, within, without
from mcwatch.pipeline.ingest import Ingested
from tests.property.api import FinderApi, Manner, Pass, WorldTime
from tests.property.model import Mail, Shown, Sign, World, when

_MOST_BELIEVED = 2
"""Answers of one length that are believed before the next one gives a hidden cap away (contract, section 7)."""

Filters = Mapping[str, str]


def filter_key(options: Filters) -> str:
    """Return a search as the model API tells searches apart."""
    return msgspec.json.encode(options, order="sorted").decode()


@dataclass
class Claims:
    """The ledger of one search as it should be, by what its committed pages brought."""

    by_cover: dict[Cover, list[Window]] = field(default_factory=lambda: {cover: [] for cover in Cover})
    believed: list[list[Window]] = field(default_factory=list)
    """What counts as read only because of answers that a hidden cap has cut; a list for each of them."""
    cut: set[Window] = field(default_factory=set)
    """The windows whose cut answers were believed in this life of the process."""
    since: datetime | None = None

    def known(self, *covers: Cover) -> list[Window]:
        """Return the ranges of these kinds; of every kind when none is named."""
        return merged(window for cover in covers or Cover for window in self.by_cover[cover])

    def read_again(self, window: Window) -> None:
        """Note that a window was read as a whole, or is not believed any more."""
        rest = [without(windows, [window]) for windows in self.believed]
        self.believed = [windows for windows in rest if windows]

    def lay(self, span: Span) -> None:
        """Take over one span of a committed page."""
        read = self.known(Cover.READ, Cover.AGED)
        stronger = {
            Cover.UNREAD: [],
            Cover.READ: read,
            Cover.AGED: read,
            Cover.INCOMPLETE: read + self.known(Cover.INCOMPLETE),
            Cover.GAP: self.known(),
        }[span.cover]
        new = without([span.window], stronger)
        for cover in Cover:
            self.by_cover[cover] = without(self.by_cover[cover], new)
        if span.cover is Cover.READ:
            limit = span.at - BRIEF_HISTORY
            self.by_cover[Cover.AGED] = merged(self.by_cover[Cover.AGED] + within(new, span.start, limit))
            new = within(new, limit, span.end)
        if span.cover is not Cover.UNREAD:
            self.by_cover[span.cover] = merged(self.by_cover[span.cover] + new)


class Truth:
    """Watches every commit; fails with an AssertionError at the first claim that is not so."""

    def __init__(self, world: World, api: FinderApi, manner: Manner, time: WorldTime) -> None:
        self._world = world
        self._api = api
        self._manner = manner
        self._time = time
        self.routes: Collection[str] | None = None
        self.searches: dict[str, Filters] = {}
        """The filters of the searches by their names, which tell them."""
        self.claims: dict[str, Claims] = {}
        self.recorded: dict[Sign, int] = {}
        self.event_ids: set[str] = set()
        self.excused: dict[Sign, str] = {}
        self._shown: dict[int, list[tuple[Sign, str | None]]] = {}

    def committed(self, page: FinderPage, outcome: Ingested) -> None:
        """Judge a page that is in the store."""
        for line in outcome.lines.splitlines():
            self._event(msgspec.json.decode(line))
        for search, spans in page.covered.items():
            for span in spans:
                self._span(search, span)
        read = self._api.last
        read_now = any(span.cover is Cover.READ for spans in page.covered.values() for span in spans)
        if page.rows and read is not None and not read.narrowed and self._is_hidden(read) and not read_now:
            self._found_out(read)

    def _is_hidden(self, read: Pass) -> bool:
        return self._manner.paging == "hidden" and read.capped

    def _found_out(self, read: Pass) -> None:
        """A hidden cap that was found out leaves nothing believed that it has cut."""
        for search, claims in self.claims.items():
            if filter_key(self.searches.get(search, {"no": "search"})) == read.search and read.end - read.start > 1:
                assert not claims.believed, f"{search}: still believed: {claims.believed}"

    def began(self) -> None:
        """Note that a new process has begun, which knows only what the store says."""
        for claims in self.claims.values():
            claims.believed, claims.cut = [], set()

    # -- events

    def _event(self, event: Mapping[str, Any]) -> None:
        message = event["message"]
        sign = Sign(message["id"] or message["subject"], message["status"], message["info"])
        mail = self._world.by_sign.get(sign)
        assert mail is not None, f"an event of nothing: {event}"
        assert event["event_id"] not in self.event_ids, f"an event id twice: {event}"
        assert sign not in self.recorded, f"a state twice: {event}"
        assert any(state.sign == sign and state.begin <= self._time.now for state in mail.states), f"too early: {event}"
        self.event_ids.add(event["event_id"])
        self.recorded[sign] = len(self.recorded)
        before = self._shown.setdefault(mail.number, [])
        before.append((sign, message["id"]))
        if not mail.alike:
            self._order(mail, event, before)

    def _order(self, mail: Mail, event: Mapping[str, Any], shown: Sequence[tuple[Sign, str | None]]) -> None:
        """States come in the order the world showed them; what is said to be the previous one is."""
        signs = list(dict.fromkeys(state.sign for state in mail.states))
        # A state that returns counts where it was first recorded.
        numbers = [signs.index(sign) for sign, _ in shown]
        repeats = len(signs) < len(mail.states)
        assert repeats or numbers == sorted(numbers), f"states out of order: {numbers} of {mail.states}"
        if len(shown) == 1:
            assert event["kind"] == "message.seen", f"changed from nothing: {event}"
        previous = event["previous"]
        if previous:
            (_, status, info), row_id = shown[-2]
            assert {"id": row_id, "status": status, "info": info} == previous, f"not the previous state: {event}"

    # -- coverage

    def _span(self, search: str, span: Span) -> None:
        claims = self.claims.setdefault(search, Claims())
        if span.cover is Cover.READ:
            self._judge_read(search, span, claims)
        elif span.cover is Cover.INCOMPLETE:
            assert span.end - span.start == ONE_SECOND, f"incomplete is a second: {span}"
            self._judge_incomplete(search, span)
        elif span.cover is Cover.GAP:
            assert span.end <= span.at - timedelta(days=min(self._manner.history_days, 28) - 0.1), f"no gap: {span}"
        else:
            claims.read_again(span.window)
        claims.lay(span)

    def _passes(self, search: str, window: Window) -> list[Pass]:
        first, last = window.start.timestamp(), window.end.timestamp()
        passes = self._api.passes.get(filter_key(self.searches[search]), [])
        return [one for one in passes if one.start <= first and last <= one.end]

    def _judge_read(self, search: str, span: Span, claims: Claims) -> None:
        """All that was shown in the range while it was read is recorded, save what no sign in the answer told of."""
        passes = self._passes(search, span.window)
        assert passes, f"{search}: read without a question: {span}"
        read = passes[-1]
        assert span.end.timestamp() <= self._time.now + 2, f"{search}: read what is yet to come: {span}"
        if self._is_hidden(read) and self._api.last is read:
            for row in read.withheld:
                self.excused[row.sign] = "hidden cap"
            by_it_alone = without([span.window], claims.known(Cover.READ, Cover.AGED))
            claims.believed += [by_it_alone] if by_it_alone else []
            claims.cut.add(span.window)
            assert len(claims.cut) <= _MOST_BELIEVED, f"{search}: believed again and again: {claims.cut}"
            return
        claims.read_again(span.window)
        if read.slipped and not read.capped:
            for row in read.withheld:
                self.excused[row.sign] = "slipped between pages"
        filters, now = self.searches[search], self._time.now
        for mail in self._world.between(span.start.timestamp(), span.end.timestamp() - 1):
            shown = mail.shown(now)
            if shown is None or not shown.through(read.begun_at, now) or not self._wanted(mail, filters):
                continue
            assert shown.sign in self.recorded or shown.sign in self.excused, (
                f"{search}: {span} counts as read, and {shown} of {mail} was not recorded"
            )

    def _judge_incomplete(self, search: str, span: Span) -> None:
        """Whatever an answer to a second did not show is excused by saying so."""
        passes = self._passes(search, span.window)
        assert passes, f"{search}: incomplete without a question: {span}"
        for row in passes[-1].withheld:
            self.excused[row.sign] = "incomplete second"

    def _wanted(self, mail: Mail, filters: Filters) -> bool:
        return mail.found_by(filters) and (self.routes is None or mail.route in self.routes)

    def ledger(self, progress: FeedProgress, sinces: Mapping[str, datetime | None]) -> None:
        """What the store says is what the committed pages brought; what is owed begins behind nothing unread."""
        horizon = when(self._time.now) - timedelta(days=27)
        for search, claims in self.claims.items():
            spans = progress.coverage.get(search, ())
            for covers in ((Cover.READ,), (Cover.AGED,), (Cover.INCOMPLETE,), (Cover.GAP,)):
                said = within(merged(windows_of(spans, *covers)), horizon, datetime.max.replace(tzinfo=horizon.tzinfo))
                so = within(claims.known(*covers), horizon, datetime.max.replace(tzinfo=horizon.tzinfo))
                assert so == said, f"{search}: {covers} is {so}, the store says {said}"
            since = sinces.get(search)
            if since is not None:
                claims.since = claims.since or since
                passed_by = without([Window(claims.since, since)], claims.known()) if since > claims.since else []
                assert not passed_by, f"{search}: no longer owed, never read: {passed_by}"

    def covered_until(self, search: str, until: datetime, now: datetime) -> None:
        """The moment said to be covered up to lies behind nothing that is neither read, incomplete nor a gap.

        What has left the API's history since the last poll is about to be a gap.
        """
        claims = self.claims.get(search)
        horizon = now - timedelta(days=min(self._manner.history_days, 28)) + timedelta(hours=2)
        since = horizon if claims is None or claims.since is None else max(claims.since, horizon)
        if claims is None or claims.since is None or until <= since:
            return
        holes = without([Window(since, min(until, now))], claims.known())
        assert not holes, f"{search}: covered until {until}, but not {holes}"


@dataclass(frozen=True, slots=True)
class CleanSpan:
    """A time in which every poll came when it was due, met no failure and did all that was due."""

    begin: float
    end: float
    searches: Sequence[Filters]
    routes: Collection[str] | None


@dataclass(frozen=True, slots=True)
class Look:
    """A repeated look at ``look_back_secs``, all of it within ``every_secs``."""

    every_secs: float
    look_back_secs: float

    def has_had(self, mail: Mail, row: Shown, clean: CleanSpan) -> bool:
        """Tell whether the row was shown for a whole period of this look, in its look-back, all polls being clean."""
        begin = max(row.begin, clean.begin, mail.received + 1)
        end = min(row.end, clean.end, mail.received + self.look_back_secs)
        if clean.routes is not None and mail.route not in clean.routes:
            return False
        return end - begin >= self.every_secs and any(mail.found_by(filters) for filters in clean.searches)


def broken_promises(truth: Truth, looks: Sequence[Look], clean: Sequence[CleanSpan]) -> tuple[int, list[str]]:
    """Return how many states were promised, and those that have not been recorded."""
    promised, missing = 0, []
    for mail in truth._world.mails:
        for row in mail.states:
            look = next((one for one in looks for span in clean if one.has_had(mail, row, span)), None)
            if look is None:
                continue
            promised += 1
            if row.sign not in truth.recorded and row.sign not in truth.excused:
                missing.append(f"{row} of {mail} by {look}")
    return promised, missing
