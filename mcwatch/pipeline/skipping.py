"""Passing over the backlog of a destination: all positions move to the head, and what they pass counts as skipped."""

from datetime import timedelta

import structlog

from mcwatch.domain.outbox import Progress, Settlement
from mcwatch.interfaces import Store
from mcwatch.pipeline.flights import Flights
from mcwatch.pipeline.outlet import Outlet
from mcwatch.pipeline.settling import Settler

logger = structlog.get_logger(__name__)


async def skip_backlog(outlet: Outlet, store: Store, settler: Settler, flights: Flights) -> None:
    """Move all positions to the head; what is on its way counts as skipped as well."""
    heads = store.heads()
    behind = {
        account: head - flights.positions[account]
        for account, head in heads.items()
        if head > flights.positions.get(account, head)
    }
    flights.clear()
    if not behind:
        return
    settlement = Settlement(
        outlet.name, [Progress(account, heads[account], 0, 0, skipped) for account, skipped in behind.items()]
    )
    start, end = await settler.patiently(lambda: _waiting_range(outlet, store))
    lost = await settler.commit(settlement)
    flights.settled(settlement)
    flights.clear()
    flights.forget(lost)
    passed = sum(skipped for account, skipped in behind.items() if account not in lost)
    if not passed:
        return
    logger.error(
        "backlog_skipped",
        destination=outlet.name,
        events=passed,
        start=start,
        end=end,
        remedy=f"mend the destination; then mcwatch replay --destination {outlet.name} --from {start} --to {end}"
        " sends what store.keep_delivered still keeps of it",
    )


async def _waiting_range(outlet: Outlet, store: Store) -> tuple[str, str]:
    """Return from when to when what waits now was recorded, in whole seconds around it (RFC 3339)."""
    figures = (await store.snapshot()).destinations
    oldest = next((one.oldest_waiting_at for one in figures if one.name == outlet.name), None)
    now = outlet.clock.now()
    return f"{oldest or now:%Y-%m-%dT%H:%M:%SZ}", f"{now + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
