"""``mcwatch check``: every account and destination tried once, nothing sent and nothing recorded."""

import asyncio
import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from mcwatch.app.clock import SystemClock
from mcwatch.app.shared_store import DRIVER_REMEDY, shared_store
from mcwatch.app.wiring import listener_of
from mcwatch.domain.budget import REMEDY
from mcwatch.domain.errors import ConfigError, McwatchError
from mcwatch.domain.event import EventKind
from mcwatch.domain.status import CheckResult
from mcwatch.httpserver.certificate import Certificate
from mcwatch.mimecast.check import EndpointCheck, check_account
from mcwatch.mimecast.client import MimecastClient
from mcwatch.settings import AccountConfig, DestinationConfig, Settings
from mcwatch.sources import STATUSES
from mcwatch.telemetry.logs import configure
from mcwatch.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from mcwatch.store.postgres.probe import Finding

_MOST_SKEW_SECS = 30.0
_MINUTES_A_DAY = 1_440.0


def check(settings: Settings, *, offline: bool = False) -> list[CheckResult]:
    """Try everything the configuration names; ``offline`` stops at what the file itself says."""
    configure("warning")
    results = [
        CheckResult("configuration", ok=True, detail="read, secrets resolved"),
        *(budget(account) for account in settings.accounts),
        *(found for account in settings.accounts for found in _reviewed(account)),
        *unknown_names(settings),
        *_certificate(settings),
        *_driver(settings),
    ]
    return results if offline else results + asyncio.run(_online(settings))


def budget(account: AccountConfig) -> CheckResult:
    """Say how many requests an account's sources make, and how many they may."""
    needed = sum(source.requests_per_minute() for source in account.sources)
    searches_a_day = sum(source.searches_per_minute for source in account.sources) * _MINUTES_A_DAY
    allowed = account.api.max_requests_per_minute
    discovered = sum(source.domain_per_minute for source in account.sources)
    for_each = f" and {discovered:.1f} for each domain that is discovered" if discovered else ""
    rows_for_each = f" and {discovered * _MINUTES_A_DAY:,.0f} for each of those domains" if discovered else ""
    detail = (
        f"needs {needed:.1f} requests a minute{for_each} while mail is quiet, may make {allowed}; "
        f"writes about {searches_a_day:,.0f} rows a day{rows_for_each} to the tenant's search log"
    )
    remedy = "" if needed <= allowed else REMEDY
    return CheckResult(f"account {account.name}: requests", needed <= allowed, detail, remedy)


def _reviewed(account: AccountConfig) -> list[CheckResult]:
    found = [source.review() for source in account.sources]
    return [_of(account, one) for one in found if one is not None]


def _certificate(settings: Settings) -> list[CheckResult]:
    """Read the certificate of the HTTP listener, where it has one."""
    certificate = listener_of(settings.http).certificate
    if certificate is None:
        return []
    try:
        Certificate(certificate)
    except ConfigError as error:
        return [CheckResult("http: certificate", ok=False, detail=str(error))]
    return [CheckResult("http: certificate", ok=True, detail="read, and its key fits")]


def _driver(settings: Settings) -> list[CheckResult]:
    """Say where the driver that the store's URL asks for is missing."""
    if settings.store.is_shared:
        try:
            shared_store(settings)
        except ConfigError as error:
            # The error ends with the remedy, which has a line of its own here.
            detail = str(error).removesuffix(f": {DRIVER_REMEDY}")
            return [CheckResult("store: driver", ok=False, detail=detail, remedy=DRIVER_REMEDY)]
    return []


def unknown_names(settings: Settings) -> list[CheckResult]:
    """Warn of names in destinations that fit nothing: a slip, or an account that is gone and still delivered."""
    accounts = [account.name for account in settings.accounts]
    events = [*STATUSES, *EventKind]
    found: list[CheckResult] = []
    for one in settings.destinations:
        unmatched = [glob for glob in one.select.accounts if not any(fnmatchcase(name, glob) for name in accounts)]
        found += _unknown(one, "select.accounts", unmatched, "account", accounts)
        found += _unknown(one, "the sink", one.sink.account_names - set(accounts), "account", accounts)
        found += _unknown(one, "the sink", one.sink.event_names - set(events), "status or kind of event", events)
    return found


def _unknown(
    destination: DestinationConfig, place: str, names: Collection[str], what: str, known: Sequence[str]
) -> list[CheckResult]:
    if not names:
        return []
    quoted = ", ".join(f"{name!r}" for name in sorted(names))
    return [
        CheckResult(
            f"destination {destination.name}: names",
            ok=True,
            detail=f"warning: {place} names {quoted}, which is no {what} known here",
            remedy=f"unless it is meant, write one of {', '.join(known)}",
        )
    ]


def _of(account: AccountConfig, found: CheckResult) -> CheckResult:
    return replace(found, subject=f"account {account.name}: {found.subject}")


async def _online(settings: Settings) -> list[CheckResult]:
    """Try all accounts and destinations beside each other: one that does not answer takes its whole time-out."""
    async with asyncio.TaskGroup() as group:
        store = group.create_task(check_store(settings))
        accounts = [group.create_task(_check_account(account)) for account in settings.accounts]
        destinations = [group.create_task(_check_destination(destination)) for destination in settings.destinations]
    of_accounts = [result for task in accounts for result in task.result()]
    return [*store.result(), *of_accounts, *(task.result() for task in destinations)]


async def check_store(settings: Settings) -> list[CheckResult]:
    """Look at a store that is a server; one that is a file is made when it is needed."""
    if not settings.store.is_shared or _driver(settings):
        return []
    try:
        finding = await asyncio.to_thread(shared_store(settings).look)
    except McwatchError as error:
        return [CheckResult("store", ok=False, detail=str(error), remedy=error.remedy)]
    return [_judged(finding)]


def _judged(finding: "Finding") -> CheckResult:
    server = f"{finding.place}: PostgreSQL {finding.server}"
    if finding.schema > finding.newest:
        return CheckResult(
            "store",
            ok=False,
            detail=f"{server}, schema {finding.schema}, which is newer than this mcwatch knows ({finding.newest})",
            remedy="run the newer mcwatch, or restore a backup from before the upgrade",
        )
    if finding.lacking:
        return CheckResult(
            "store",
            ok=False,
            detail=f"{server}; the user lacks {', '.join(finding.lacking)}",
            remedy="let the user of store.url own the schema: ALTER SCHEMA … OWNER TO, and the tables in it if there "
            "are any",
        )
    schema = f"schema {finding.schema}"
    if finding.schema == 0:
        schema = "no tables of mcwatch yet: the first start makes them"
    elif finding.schema < finding.newest:
        schema += f": the next start brings it to {finding.newest}"
    live = finding.live_replicas
    replicas = f"{live} {'replica' if live == 1 else 'replicas'} live"
    return CheckResult("store", ok=True, detail=f"{server}, {schema}, {replicas}")


async def _check_account(account: AccountConfig) -> list[CheckResult]:
    subject = f"account {account.name}"
    client = MimecastClient(account.name, account.api, clock=SystemClock(), metrics=Metrics(), rng=random.Random())
    try:
        async with client:
            probes = [source.probe(client) for source in account.sources]
            checked = await check_account(client, probes)
            examined = await _examine(account, client) if checked.ok else []
    except McwatchError as error:
        return [CheckResult(subject, ok=False, detail=str(error), remedy=error.remedy)]
    results = [CheckResult(f"{subject}: {one.endpoint}", one.ok, _detail(one), one.remedy) for one in checked.endpoints]
    if checked.skew_secs is not None:
        ok = abs(checked.skew_secs) <= _MOST_SKEW_SECS
        remedy = "" if ok else "set this machine's clock (NTP); mcwatch corrects for it meanwhile"
        results.append(CheckResult(f"{subject}: clock", ok, f"{checked.skew_secs:+.1f} s from the API's", remedy))
    return results + examined


async def _examine(account: AccountConfig, client: MimecastClient) -> list[CheckResult]:
    """Let the sources look at what only answers can tell."""
    results = []
    for source in account.sources:
        try:
            found = await source.examine(client)
        except McwatchError as error:
            found = CheckResult(source.type, ok=False, detail=str(error), remedy=error.remedy)
        if found is not None:
            results.append(_of(account, found))
    return results


def _detail(one: EndpointCheck) -> str:
    if one.quota.limit is None and one.quota.remaining is None:
        return f"{one.detail}; the API names no quota" if one.ok else one.detail
    return f"{one.detail}; quota {one.quota.remaining} of {one.quota.limit} left"


async def _check_destination(destination: DestinationConfig) -> CheckResult:
    subject = f"destination {destination.name}"
    try:
        async with destination.sink.build() as sink:
            return CheckResult(subject, ok=True, detail=await sink.check())
    except McwatchError as error:
        return CheckResult(subject, ok=False, detail=str(error), remedy=error.remedy)
