"""What a destination's way out says of the destination."""

import pytest

from mcwatch.domain.delivery import Batch
from mcwatch.domain.errors import TransientError
from mcwatch.pipeline.inflight import InFlight, Segment
from mcwatch.pipeline.outlet import Attempt
from tests.contract.store_kit import native
from tests.fakes.sink import FakeSink
from tests.unit.pipeline.lab import Lab
from tests.unit.pipeline.receiver import Virtually

pytestmark = pytest.mark.timeout(10)


def test_what_fails_with_its_sink_says_nothing_of_the_destination(virtually: Virtually) -> None:
    """A replay that a reload cuts off must not show a destination as down that is gone, or that has changed since."""

    async def story(lab: Lab) -> None:
        outlet = lab.outlet(FakeSink())
        batch = Batch([native(1)], [native(1)], "application/json")
        inflight = InFlight([Segment(0, 0, 1, range(1), 0.0)], batch)
        cut_off = Attempt(inflight, 0, TransientError("closed"), requests=1, secs=1.0, ended=0, refused=0, suspects={})
        async with outlet.opened():
            pass
        outlet.conclude(cut_off)
        assert outlet.health.condition(outlet.component).up is None
        at_work = lab.outlet(FakeSink())
        async with at_work.opened():
            at_work.conclude(cut_off)
        assert outlet.health.condition(outlet.component).up is False

    virtually(story)
