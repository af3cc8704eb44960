"""One destination of the daemon: what it gets to see, where that goes, and the loop that delivers it."""

from mcwatch.app.resending import Way
from mcwatch.app.shared import Shared
from mcwatch.domain.errors import ConfigError
from mcwatch.domain.selection import Selection
from mcwatch.interfaces import Sink
from mcwatch.pipeline.batches import BatchLimits, BatchReader, View
from mcwatch.pipeline.dispatcher import Dispatcher
from mcwatch.pipeline.letterbox import Letterbox
from mcwatch.pipeline.outlet import Outlet, Senses
from mcwatch.pipeline.rendering import NATIVE, Rendering
from mcwatch.pipeline.resending import Resender
from mcwatch.settings import DestinationConfig

_ACKNOWLEDGED_IN_FLIGHT = 32


def view_of(config: DestinationConfig) -> View:
    """Return what a destination gets to see; raises ConfigError when the key of its redaction cannot be read."""
    select = config.select
    selection = Selection(tuple(select.accounts), tuple(select.kinds), tuple(select.routes))
    try:
        redaction = config.redact.build() if config.redact else None
    except ConfigError as error:
        raise ConfigError(
            [f"destinations.{config.name}.redact.key: {problem}" for problem in error.problems]
        ) from error
    name = NATIVE if config.format.type == NATIVE else config.format.model_dump_json()
    if redaction:
        name = f"{name} {redaction.name}"
    return View(selection, Rendering(name, config.format.build(), redaction))


def limits_of(config: DestinationConfig, sink: Sink) -> BatchLimits:
    """Return a destination's batch policy."""
    batch = config.batch
    acknowledged = _ACKNOWLEDGED_IN_FLIGHT if sink.acknowledgements else 1
    return BatchLimits(batch.max_events, batch.max_bytes, batch.linger, batch.max_in_flight or acknowledged)


class DestinationPart:
    """A destination that can be started by itself; the loop of its dispatcher opens and closes the sink."""

    def __init__(self, config: DestinationConfig, dispatcher: Dispatcher, way: Way) -> None:
        self.config = config
        self.dispatcher = dispatcher
        self.way = way


async def build_destination(
    config: DestinationConfig, view: View, shared: Shared, max_dead_letters: int
) -> DestinationPart:
    """Build a destination that is enrolled in the store."""
    sink = config.sink.build(await shared.store.channel(config.name))
    limits = limits_of(config, sink)
    reader = BatchReader(config.name, shared.store, shared.cache, view, limits)
    outlet = Outlet(config.name, sink, Senses(shared.clock, shared.metrics, shared.health, shared.rng))
    letterbox = Letterbox(config.name, shared.store, shared.health, max_dead_letters)
    dispatcher = Dispatcher(outlet, shared.store, reader, limits, letterbox)
    return DestinationPart(config, dispatcher, Way(reader, Resender(outlet, view)))
