"""The API before the model world: what it answers, what it withholds, and an adversary between it and mcwatch.

Everything is answered in process, as JSON bytes that the real decoding reads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, PermanentError, ThrottledError, TransientError
from mcwatch.mimecast.clock_skew import ClockSkew
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.envelope import Answer, AnswerDecoder
from mcwatch.mimecast.errors import PageTokenInvalid
from mcwatch.mimecast.quota import Priority, QuotaSeen
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.property.model import DAY, Mail, Shown, World, when

T = TypeVar("T")

TOO_OLD = b'{"meta":{"status":200},"data":[],"fail":[{"errors":[{"code":"err_track_and_trace_invalid_start_date"}]}]}'
TOKEN_UNKNOWN = b'{"meta":{"status":200},"data":[],"fail":[{"code":"xdk_failure","message":"0007 Invalid token"}]}'
NOT_VALID = b'{"meta":{"status":400},"data":[],"fail":[{"code":"err_validation_value_not_allowed","retryable":false}]}'

Paging = Literal["pages", "announced", "silent", "hidden", "stops"]


class Crash(BaseException):
    """The process is killed here."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the API answers, for the whole life of a world.

    ``paging``: with next tokens; or one answer of up to ``cap`` rows, of which ``totalCount`` tells (announced), which
    is a full or a round number (silent), or which nothing tells (hidden); or a few pages, then none, told by
    ``totalCount`` (stops). ``totals``: whether ``totalCount`` is there and right, or that of the page.
    """

    paging: Paging = "pages"
    cap: int = 1000
    totals: Literal["none", "right", "page"] = "none"
    size_told: Literal["none", "asked", "zero"] = "none"
    bounds: tuple[bool, bool] = (True, True)
    narrowing: Literal["known", "ignored", "refused"] = "known"
    history_days: float = 30.0
    token_tells_time: bool = True
    latency_secs: float = 0.05

    @property
    def tells_total(self) -> bool:
        """Whether an answer that is cut or moves can be told by its ``totalCount``."""
        return self.paging in {"announced", "stops"} or (self.totals == "right" and self.paging != "hidden")


class WorldTime:
    """The API's clock and this machine's: the wall clock may be set, and the machine sleep while the API's goes on."""

    def __init__(self, start: float) -> None:
        self.clock = FakeClock(when(start))
        self._start = start
        self._slept = 0.0

    @property
    def now(self) -> float:
        """The API's clock."""
        return self._start + self.clock.monotonic() + self._slept

    def sleep(self, secs: float) -> None:
        """Let time pass that this machine's monotonic clock does not notice."""
        self._slept += secs
        self.clock.jump(secs)


@dataclass(eq=False)
class Pass:
    """All pages of one list, from the first."""

    search: str
    start: float
    end: float
    narrowed: bool
    begun_at: float
    rows: list[tuple[Mail, Shown]]
    seen: set[Shown] = field(default_factory=set)
    totals: set[int] = field(default_factory=set)
    pages: int = 0
    capped: bool = False
    withheld: list[Shown] = field(default_factory=list)
    finished: bool = False

    @property
    def slipped(self) -> bool:
        """Whether rows slipped between the pages of the moving list, and no figure told of it."""
        return bool(self.withheld) and not self.capped and len(self.totals) <= 1 and self.pages > 1


class FinderApi:
    """Answers searches out of the world, and remembers what each pass over the pages of a list has withheld."""

    def __init__(self, world: World, manner: Manner, time: WorldTime) -> None:
        self._world = world
        self._manner = manner
        self._time = time
        self._generation = 0
        self.domains: list[str] = []
        self.passes: dict[str, list[Pass]] = {}
        """The passes without narrowing since they were last forgotten, by search."""
        self.last: Pass | None = None
        """The pass that was asked for last."""
        self._open: dict[str, Pass] = {}

    def forget_tokens(self) -> None:
        """Let every page token die."""
        self._generation += 1

    def answer(self, endpoint: Endpoint, item: Mapping[str, Any], size: int, token: str | None, harm: str) -> bytes:
        """Return the body of an answer; ``harm`` is done to it by the adversary."""
        if endpoint is Endpoint.INTERNAL_DOMAINS:
            return msgspec.json.encode({"meta": {"status": 200}, "data": [{"domain": name} for name in self.domains]})
        manner, now = self._manner, self._time.now
        start, end = _moment(item["start"]), _moment(item["end"])
        if start < now - manner.history_days * DAY:
            return TOO_OLD
        if manner.narrowing == "refused" and ("route" in item or "status" in item):
            return NOT_VALID
        skip = 0
        if token is not None:
            generation, _, offset = token.partition(":")
            if int(generation) != self._generation:
                return TOKEN_UNKNOWN
            skip = int(offset)
        if harm == "moves" and token is not None:
            self._let_one_leave()
        rows = self._rows(item, start, end)
        return self._page(self._pass(item, rows, token, (start, end)), rows, skip, size, harm)

    def _let_one_leave(self) -> None:
        """Take a row off the pages that were read, so that those behind it move up."""
        read = self.last
        mail = next((mail for mail, row in read.rows if row in read.seen), None) if read else None
        if mail is not None:
            mail.leave(self._time.now)

    def _rows(self, item: Mapping[str, Any], start: float, end: float) -> list[tuple[Mail, Shown]]:
        """Return the rows of a search as they are now, newest first."""
        manner, now = self._manner, self._time.now
        options = item.get("advancedTrackAndTraceOptions", {})
        narrowing = item if manner.narrowing == "known" else {}
        found = []
        for mail in self._world.between(start if manner.bounds[0] else start + 1, end if manner.bounds[1] else end - 1):
            row = mail.shown(now)
            if row is None or not mail.found_by(options):
                continue
            if mail.route in narrowing.get("route", [mail.route]) and row.sign.status in narrowing.get(
                "status", [row.sign.status]
            ):
                found.append((mail, row))
        return found[::-1]

    def _pass(
        self, item: Mapping[str, Any], rows: list[tuple[Mail, Shown]], token: str | None, range_: tuple[float, float]
    ) -> Pass:
        key = msgspec.json.encode(item, order="sorted").decode()
        if token is not None and key in self._open:
            self.last = self._open[key]
            return self.last
        narrowed = "route" in item or "status" in item
        search = msgspec.json.encode(item.get("advancedTrackAndTraceOptions", {}), order="sorted").decode()
        # The product asks from a second before the window on.
        found = Pass(search, range_[0] + 1, range_[1], narrowed, self._time.now, rows)
        self._open[key] = self.last = found
        if not narrowed:
            self.passes.setdefault(search, []).append(found)
        return found

    def _page(self, read: Pass, rows: list[tuple[Mail, Shown]], skip: int, size: int, harm: str) -> bytes:
        manner = self._manner
        part = rows[skip : skip + min(size, manner.cap)]
        follows = skip + len(part) < len(rows)
        more = follows and (manner.paging == "pages" or (manner.paging == "stops" and read.pages < 2))
        total = len(rows) + (harm == "odd")
        if harm == "cut" and manner.tells_total and len(part) > 1:
            part, more = part[: len(part) // 2], False
        read.pages += 1
        read.seen |= {row for _, row in part}
        bodies = [row.row for _, row in part]
        if harm == "repeat":
            bodies += bodies[:2]
        if harm == "odd":
            bodies.append(b"17")
        pagination: dict[str, object] = {}
        if manner.tells_total:
            pagination["totalCount"] = total
            read.totals.add(total)
        elif manner.totals == "page" and manner.paging == "pages":
            pagination["totalCount"] = len(bodies)
        if manner.size_told != "none":
            pagination["pageSize"] = size if manner.size_told == "asked" else 0
        if more:
            pagination["next"] = f"{self._generation}:{skip + len(part)}"
        else:
            self._finish(read, capped=skip + len(part) < len(rows))
        return b"".join(
            (
                b'{"fail":[],"meta":',
                msgspec.json.encode({"status": 200, "pagination": pagination} if pagination else {"status": 200}),
                b',"data":[{"trackedEmails":[',
                b",".join(bodies),
                b"]}]}",
            )
        )

    def _finish(self, read: Pass, *, capped: bool) -> None:
        now = self._time.now
        read.finished, read.capped = True, capped
        read.withheld = [
            row
            for mail, row in read.rows
            if row not in read.seen and row.through(read.begun_at, now) and read.start <= mail.received < read.end
        ]


def _moment(text: object) -> float:
    return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%S+0000").replace(tzinfo=UTC).timestamp()


FAULTS = ("connection", "timeout", "server", "bad_response", "too_large", "throttled", "auth", "refused", "token_dies",
          "html", "cut_json", "cut", "repeat", "odd", "moves", "crash", "crash_answered", "slow")  # fmt: skip
"""What the adversary does to a request: an error, harm to the answer, or the end of the process before or after it."""

_ERRORS: dict[str, Callable[[], McwatchError]] = {
    "connection": lambda: TransientError("no connection", reason=FailureReason.CONNECTION),
    "timeout": lambda: TransientError("no answer", reason=FailureReason.TIMEOUT),
    "server": lambda: TransientError("HTTP 500"),
    "bad_response": lambda: TransientError("no answer of the API", reason=FailureReason.BAD_RESPONSE),
    "too_large": lambda: TransientError("more than an answer may weigh", reason=FailureReason.TOO_LARGE),
    "throttled": lambda: ThrottledError("quota", retry_after_secs=60.0),
    "auth": lambda: AuthError("no right"),
    "refused": lambda: PermanentError("refused"),
}
_HARMS: dict[str, Callable[[bytes], bytes]] = {
    "html": lambda _: b"<html>proxy</html>",
    "cut_json": lambda body: body[: len(body) * 2 // 3],
}


class Adversary:
    """Does its faults to the requests and commits with these numbers, counted from :meth:`plan` on."""

    def __init__(self) -> None:
        self._requests: dict[int, str] = {}
        self._commits: dict[int, str] = {}
        self._request = self._commit = 0

    def plan(self, requests: Mapping[int, str] = {}, commits: Mapping[int, str] = {}) -> None:
        """Begin to count."""
        self._requests, self._commits = dict(requests), dict(commits)
        self._request = self._commit = 0

    def at_request(self) -> str:
        """Return the fault of the next request; empty for none."""
        self._request += 1
        return self._requests.get(self._request, "")

    def at_commit(self) -> str:
        """Return the fault of the next commit; empty for none."""
        self._commit += 1
        return self._commits.get(self._commit, "")


class Api(Protocol):
    """What a client asks."""

    def answer(self, endpoint: Endpoint, item: Mapping[str, Any], size: int, token: str | None, harm: str) -> bytes:
        """Return the body of an answer."""

    def forget_tokens(self) -> None:
        """Let every page token die."""


class WorldClient:
    """Stands in for MimecastClient, with its estimate of the API's clock."""

    account = "acme"

    def __init__(self, api: Api, manner: Manner, time: WorldTime, adversary: Adversary, metrics: Metrics) -> None:
        self._api = api
        self._manner = manner
        self._time = time
        self._adversary = adversary
        self._skew = ClockSkew(self.account, time.clock, metrics)

    @property
    def skew_secs(self) -> float | None:
        """As the real one."""
        return self._skew.skew_secs

    def server_now(self) -> datetime:
        """As the real one."""
        return self._skew.server_now()

    def quota_seen(self, endpoint: Endpoint) -> QuotaSeen:
        """Tell of no quota."""
        return QuotaSeen(endpoint, None, None, 0.0)

    def wait_secs(self, endpoint: Endpoint, priority: Priority) -> float:
        """Let everything go at once."""
        return 0.0

    async def prepare(self) -> None:
        """Get a token, whose answer tells the API's time; with API 1.0 there is none."""
        if self._manner.token_tells_time:
            self._pass_wire(self._adversary.at_request(), lambda: b"")

    async def call(
        self,
        endpoint: Endpoint,
        item: Mapping[str, object],
        decoder: AnswerDecoder[T],
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        priority: Priority = Priority.FRESH,
    ) -> Answer[T]:
        """Ask the model world."""
        fault = self._adversary.at_request()
        body = self._pass_wire(
            fault, lambda: self._api.answer(endpoint, item, page_size or 100, page_token, fault), has_token=page_token
        )
        return decoder.decode(body, what=endpoint)

    def _pass_wire(self, fault: str, answer: Callable[[], bytes], has_token: str | None = None) -> bytes:
        clock, sent_at = self._time.clock, self._time.clock.monotonic()
        clock.advance(self._manner.latency_secs / 2)
        if fault == "crash":
            raise Crash
        if fault in _ERRORS:
            clock.advance({"timeout": 30.0, "throttled": 60.0}.get(fault, 1.0))
            make_error = _ERRORS[fault]
            raise make_error()
        if fault == "token_dies" and has_token is not None:
            self._api.forget_tokens()
            raise PageTokenInvalid("the token is not known")
        if fault == "slow":
            clock.advance(20.0)
        body = answer()
        date = when(self._time.now)
        clock.advance(self._manner.latency_secs / 2)
        if fault == "crash_answered":
            raise Crash
        if fault not in _HARMS:
            self._skew.observe(format_datetime(date, usegmt=True), sent_at, clock.monotonic())
        return _HARMS[fault](body) if fault in _HARMS else body
