"""Are Mimecast ids the same at two polls? Not known for every tenant (reference notes K), so that a check asks."""

from collections import defaultdict
from datetime import timedelta

from mcwatch.domain.event import message_key
from mcwatch.domain.identity import UNSTABLE_REMEDY
from mcwatch.domain.record import Record
from mcwatch.domain.status import CheckResult
from mcwatch.domain.window.ranges import Window, whole_second
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.sources.message_finder.rows import ROWS
from mcwatch.sources.message_finder.searches import Search, request_of

_ROWS_READ = 100
_LOOK_BACKS = (timedelta(hours=1), timedelta(hours=24))
"""A quiet account shows nothing in an hour."""

_Known = dict[tuple[str, str | None, str | None], set[str | None]]


async def compare_ids(client: MimecastClient, search: Search, reason: str) -> CheckResult:
    """Read the newest rows twice and compare their ids; raises as :meth:`MimecastClient.call` does."""
    for look_back in _LOOK_BACKS:
        end = whole_second(client.server_now())
        request = request_of(search, Window(end - look_back, end), reason)
        first, second = [await _read(client, request) for _ in range(2)]
        both = first.keys() & second.keys()
        if both:
            changed = sum(1 for key in both if not first[key] & second[key])
            detail = f"of {len(both)} mails read twice, {changed} came with another id"
            return CheckResult("ids", changed == 0, detail, UNSTABLE_REMEDY if changed else "")
    return CheckResult("ids", ok=True, detail="no mail within a day to compare the ids of")


async def _read(client: MimecastClient, request: dict[str, object]) -> _Known:
    answer = await client.call(Endpoint.MESSAGE_FINDER, request, ROWS.decoder, page_size=_ROWS_READ)
    rows, _ = ROWS.rows(answer)
    known: _Known = defaultdict(set)
    for row in rows:
        known[_content(row)].add(row.id)
    return known


def _content(row: Record) -> tuple[str, str | None, str | None]:
    return message_key(row), row.status, row.info
