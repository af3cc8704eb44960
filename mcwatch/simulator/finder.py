"""POST /api/message-finder/search (reference notes §G)."""

from collections.abc import Callable
from typing import Final

from mcwatch.simulator.config import AccountConfig, SimulatorConfig
from mcwatch.simulator.envelope import NOT_ALLOWED, Answer, Call, Item, RefusedError, text_field
from mcwatch.simulator.mail import Mail
from mcwatch.simulator.paging import page_of
from mcwatch.simulator.rows import Writer
from mcwatch.simulator.times import DAY_SECS, from_api
from mcwatch.simulator.world import EVERYTHING, Row, Search, World, recipient_key, sender_key

Test = Callable[[Row], bool]

_OPTIONS: Final = ("from", "to", "subject", "senderIP", "url")
_ROUTES: Final = frozenset({"all", "internal", "outbound", "inbound", "external"})
_STATUSES: Final = frozenset(
    {
        "accepted", "processing", "bulk_processing", "delivery", "bulk_delivery", "held", "bounced", "deferred",
        "rejected", "archived", "system",
    }
)  # fmt: skip


class Finder:
    """Searches one account's mail by window and filter."""

    def __init__(self, config: SimulatorConfig, account: AccountConfig, world: World, writer: Writer) -> None:
        self._shape = config.finder
        self._rules = config.rules
        self._account = account
        self._world = world
        self._writer = writer
        self._polls = 0

    def answer(self, call: Call, item: Item, now: float) -> Answer:
        """Answer one search; raises RefusedError when it breaks a rule."""
        search = self._search(item, now)
        page = page_of(call, item, f"finder|{self._account.name}", self._shape)
        found = self._world.find(search, now, page.offset, page.size)
        self._polls += 1
        poll = None if self._rules.stable_ids else self._polls
        written = [self._writer.finder_row(row, poll) for row in found.rows]
        rows: list[object] = [row for row, _ in written]
        empty = not rows and self._shape.empty == "data"
        return Answer(
            data=[] if empty else [{"trackedEmails": rows}],
            pagination=page.pagination(found.total, self._shape),
            rows=rows,
            sightings=[sighting for _, sighting in written],
        )

    def _search(self, item: Item, now: float) -> Search:
        start, end = self._window(item, now)
        key, tests = self._filter(item)
        tests += _lists(item)
        return Search(
            key=key,
            start=start,
            end=end,
            matches=_all_of(tests) if tests else None,
            newest_first=self._rules.newest_first,
            end_inclusive=self._rules.end_inclusive,
        )

    def _window(self, item: Item, now: float) -> tuple[float, float]:
        history = self._rules.history_days * DAY_SECS
        start, end = _time(item, "start"), _time(item, "end")
        # Exactly 30 days back failed too, when it was tried (reference notes §0).
        if start is not None and start <= now - history:
            raise RefusedError(200, "err_track_and_trace_invalid_start_date", "Start date too old", "start")
        return now - history + 1 if start is None else start, now if end is None else end

    def _filter(self, item: Item) -> tuple[str, list[Test]]:
        message_id, options = text_field(item, "messageId"), item.get("advancedTrackAndTraceOptions")
        if options is not None and not isinstance(options, dict):
            raise RefusedError(400, NOT_ALLOWED, "must be an object", "advancedTrackAndTraceOptions")
        if message_id is not None and options is not None:
            raise RefusedError(400, NOT_ALLOWED, "messageId excludes advancedTrackAndTraceOptions", "messageId")
        if message_id is not None:
            return EVERYTHING, [lambda row: row.mail.message_id == message_id]
        return self._options(options or {})

    def _options(self, options: Item) -> tuple[str, list[Test]]:
        given = {name: options[name] for name in _OPTIONS if options.get(name) is not None}
        usable = any(not isinstance(value, str) or value.strip() for value in given.values())
        if not usable and not self._rules.plain_window:
            raise RefusedError(
                400,
                "err_validation_at_least_one_not_null",
                "At least one of from, to, subject, senderIP, url is needed",
                "advancedTrackAndTraceOptions",
            )
        wanted = {name: (text_field(options, name) or "").lower() for name in given}
        for name, key in (("to", recipient_key), ("from", sender_key)):
            if name in wanted:
                _, at, domain = wanted[name].rpartition("@")
                # The index answers for a whole domain; only an address needs the finer test.
                tests = [_OPTION_TESTS[other](text) for other, text in wanted.items() if at or other != name]
                return key(domain), tests
        return EVERYTHING, [_OPTION_TESTS[name](text) for name, text in wanted.items()]


def _time(item: Item, name: str) -> float | None:
    text = text_field(item, name)
    if text is None:
        return None
    at = from_api(text)
    if at is None:
        raise RefusedError(400, NOT_ALLOWED, f"{name} is no date", name)
    return at


def _lists(item: Item) -> list[Test]:
    tests: list[Test] = []
    routes = _values(item, "route", _ROUTES)
    if routes and "all" not in routes:
        tests.append(lambda row: row.mail.route in routes)
    statuses = _values(item, "status", _STATUSES)
    if statuses:
        tests.append(lambda row: row.state.status in statuses)
    attachments = item.get("attachments")
    if isinstance(attachments, bool):
        tests.append(lambda row: row.mail.attachments is attachments)
    return tests


def _values(item: Item, name: str, allowed: frozenset[str]) -> frozenset[str]:
    values = item.get(name) or []
    # Samples put a single text where the schema has a list.
    values = [values] if isinstance(values, str) else values
    if not isinstance(values, list) or not all(isinstance(value, str) and value in allowed for value in values):
        raise RefusedError(400, NOT_ALLOWED, f"{name} has a value that is not allowed", name)
    return frozenset(values)


def _all_of(tests: list[Test]) -> Test:
    return lambda row: all(test(row) for test in tests)


def _is_at(wanted: str, address: str, domain: str) -> bool:
    # An address or a domain, exactly: no subdomains (reference notes §0).
    return wanted in {address.lower(), domain}


def _from(wanted: str) -> Test:
    def test(row: Row) -> bool:
        senders = (row.mail.envelope_from, row.mail.header_from)
        return any(_is_at(wanted, sender.address, sender.domain) for sender in senders)

    return test


def _to(wanted: str) -> Test:
    return lambda row: any(_is_at(wanted, recipient.address, recipient.domain) for recipient in row.mail.to)


def _holds(part: Callable[[Mail], str]) -> Callable[[str], Test]:
    return lambda wanted: lambda row: wanted in part(row.mail).lower()


_OPTION_TESTS: Final[dict[str, Callable[[str], Test]]] = {
    "from": _from,
    "to": _to,
    "subject": _holds(lambda mail: mail.subject or ""),
    "senderIP": lambda wanted: lambda row: row.mail.sender_ip == wanted,
    "url": _holds(lambda mail: mail.url),
}
