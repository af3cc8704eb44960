"""What accounts and destinations of one daemon are built with."""

import random
from dataclasses import dataclass

from mcwatch.httpclient.connections import SharedConnections
from mcwatch.interfaces import Clock, Store
from mcwatch.pipeline.backpressure import Backpressure
from mcwatch.pipeline.cache import LineCache
from mcwatch.pipeline.tap import Tap
from mcwatch.telemetry.health import Health
from mcwatch.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The parts that every other one knows."""

    clock: Clock
    rng: random.Random
    metrics: Metrics
    health: Health
    store: Store
    pressure: Backpressure
    cache: LineCache
    tap: Tap
    connections: SharedConnections
