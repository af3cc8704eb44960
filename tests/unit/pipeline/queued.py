"""What a batch's fates let positions do, for tests that have a single batch."""

from mcwatch.domain.outbox import Settlement
from mcwatch.pipeline.flights import Flights
from mcwatch.pipeline.inflight import InFlight


def settlement_of(inflight: InFlight) -> Settlement | None:
    """Return the settlement of a batch that is alone on its way."""
    flights = Flights("hook", {one.account_id: one.position for one in inflight.segments})
    flights.add(inflight)
    return flights.settlement()
