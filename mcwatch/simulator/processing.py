"""POST /api/gateway/find-processing-messages (reference notes §F)."""

from collections.abc import Callable
from typing import Final

from mcwatch.simulator.config import AccountConfig, SimulatorConfig
from mcwatch.simulator.envelope import MALFORMED, NOT_ALLOWED, Answer, Call, Item, RefusedError, text_field
from mcwatch.simulator.paging import page_of
from mcwatch.simulator.rows import Writer
from mcwatch.simulator.times import DAY_SECS, from_api
from mcwatch.simulator.world import Entry, World

QUEUES: Final = frozenset({"processing", "bulk_processing"})

_FIELDS: Final = frozenset({"start", "end", "type", "sortBy", "sortOrder", "searchBy", "filterBy"})
_ASCENDING: Final = frozenset({"asc", "ascending"})
_DESCENDING: Final = frozenset({"desc", "descending"})


class ProcessingQueue:
    """Lists what is in an account's processing queue at the instant of the call."""

    def __init__(self, config: SimulatorConfig, account: AccountConfig, world: World, writer: Writer) -> None:
        self._shape = config.queue
        self._account = account
        self._world = world
        self._writer = writer

    def answer(self, call: Call, item: Item, now: float) -> Answer:
        """Answer one listing; raises RefusedError when it breaks a rule.

        `filterBy` is read and ignored: the documents contradict each other on its form.
        """
        if not _FIELDS & item.keys():
            raise RefusedError(400, MALFORMED, "At least one field must be given", "data")
        kind = _one_of(item, "type", QUEUES) or "processing"
        oldest_first = _one_of(item, "sortOrder", _ASCENDING | _DESCENDING) in _ASCENDING
        _one_of(item, "sortBy", frozenset({"createTime"}))
        page = page_of(call, item, f"queue|{self._account.name}", self._shape)
        start, end = _window(item, now)
        test = _search_by(item)
        entries = [
            entry for entry in self._world.queue(kind, now) if start <= entry.mail.received <= end and test(entry)
        ]
        if oldest_first:
            entries.reverse()
        return self._written(entries[page.offset : page.offset + page.size], page.pagination(len(entries), self._shape))

    def _written(self, entries: list[Entry], pagination: dict[str, object] | None) -> Answer:
        written = [self._writer.queue_entry(entry) for entry in entries]
        rows: list[object] = [row for row, _ in written]
        empty = not rows and self._shape.empty == "data"
        return Answer(
            data=[] if empty else [{"messages": rows}],
            pagination=pagination,
            rows=rows,
            sightings=[sighting for _, sighting in written],
        )


def _window(item: Item, now: float) -> tuple[float, float]:
    # The defaults are documented: seven days back, and now.
    bounds = {"start": now - 7 * DAY_SECS, "end": now}
    for name in bounds:
        text = text_field(item, name)
        if text is None:
            continue
        at = from_api(text)
        if at is None:
            raise RefusedError(400, NOT_ALLOWED, f"{name} is no date", name)
        bounds[name] = at
    return bounds["start"], bounds["end"]


def _one_of(item: Item, name: str, allowed: frozenset[str]) -> str | None:
    value = text_field(item, name)
    if value is not None and value not in allowed:
        raise RefusedError(400, NOT_ALLOWED, f"{name} has a value that is not allowed", name)
    return value


def _search_by(item: Item) -> Callable[[Entry], bool]:
    search = item.get("searchBy")
    if search is None:
        return lambda _entry: True
    if not isinstance(search, dict):
        raise RefusedError(400, NOT_ALLOWED, "searchBy must be an object", "searchBy")
    name, value = text_field(search, "fieldName"), text_field(search, "value")
    if name is None or value is None:
        raise RefusedError(400, MALFORMED, "fieldName and value are both needed", "searchBy")
    if name != "ALL" and name not in _TEXTS:
        raise RefusedError(400, NOT_ALLOWED, "fieldName is not allowed", "searchBy.fieldName")
    texts = list(_TEXTS.values()) if name == "ALL" else [_TEXTS[name]]
    wanted = value.lower()
    return lambda entry: any(wanted in text(entry).lower() for text in texts)


_TEXTS: Final[dict[str, Callable[[Entry], str]]] = {
    "fromAddress": lambda entry: entry.mail.envelope_from.address,
    "toAddress": lambda entry: " ".join(recipient.address for recipient in entry.mail.to),
    "subject": lambda entry: entry.mail.subject or "",
    "info": lambda entry: entry.state.info or "",
    "remoteIp": lambda entry: entry.mail.sender_ip,
}
