"""Tries an account for ``mcwatch check``: one small request per endpoint, nothing recorded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mcwatch.domain.errors import McwatchError
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint, api_time
from mcwatch.mimecast.envelope import AnswerDecoder
from mcwatch.mimecast.errors import FilterRequired
from mcwatch.mimecast.quota import QuotaSeen

_PROBED_RANGE = timedelta(minutes=1)
_ANYTHING: AnswerDecoder[Any] = AnswerDecoder(dict)


@dataclass(frozen=True, slots=True)
class EndpointCheck:
    """How one endpoint answered: ``detail`` in a few words, ``remedy`` where it did not work."""

    endpoint: Endpoint
    ok: bool
    detail: str
    remedy: str
    quota: QuotaSeen


@dataclass(frozen=True, slots=True)
class AccountCheck:
    """How an account answered; ``skew_secs`` is the API's clock minus this machine's, None when nothing answered."""

    endpoints: list[EndpointCheck]
    skew_secs: float | None

    @property
    def ok(self) -> bool:
        """Whether every endpoint works."""
        return all(check.ok for check in self.endpoints)


def probe_item(client: MimecastClient, endpoint: Endpoint, search_reason: str = "mcwatch check") -> dict[str, object]:
    """Return a request for the last minute that ``endpoint`` may answer; the finder may still want a filter."""
    end = client.server_now()
    item: dict[str, object] = {"start": api_time(end - _PROBED_RANGE), "end": api_time(end)}
    if endpoint is Endpoint.PROCESSING_QUEUE:
        return {**item, "type": "processing"}
    return {**item, "searchReason": search_reason} if endpoint is Endpoint.MESSAGE_FINDER else {}


async def check_account(
    client: MimecastClient, endpoints: Iterable[Endpoint | tuple[Endpoint, Mapping[str, object]]]
) -> AccountCheck:
    """Call each endpoint once, with the given item or :func:`probe_item`. Raises nothing of the API's."""
    checks = []
    for wanted in endpoints:
        endpoint, item = (wanted, None) if isinstance(wanted, Endpoint) else wanted
        checks.append(await _check(client, endpoint, probe_item(client, endpoint) if item is None else item))
    return AccountCheck(checks, client.skew_secs)


async def _check(client: MimecastClient, endpoint: Endpoint, item: Mapping[str, object]) -> EndpointCheck:
    ok, detail, remedy = True, "reachable, permitted", ""
    try:
        await client.call(endpoint, item, _ANYTHING, page_size=1)
    except FilterRequired as error:
        ok, detail, remedy = False, f"reachable, permitted, but {error}", error.remedy
    except McwatchError as error:
        ok, detail, remedy = False, str(error), error.remedy
    return EndpointCheck(endpoint, ok, detail, remedy, client.quota_seen(endpoint))
