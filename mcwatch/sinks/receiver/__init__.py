"""The web server behind a sink, which all sinks over HTTP share."""

from mcwatch.sinks.receiver.clock import wall_clock
from mcwatch.sinks.receiver.config import TOKEN, ReceiverConfig, basic
from mcwatch.sinks.receiver.packing import gzipped, zstandard_packed
from mcwatch.sinks.receiver.receiver import Answer, Receiver, revealed
from mcwatch.sinks.receiver.sink import ReceiverSink
from mcwatch.sinks.receiver.target import Header, ReceiverOptions, Target

__all__ = [
    "TOKEN",
    "Answer",
    "Header",
    "Receiver",
    "ReceiverConfig",
    "ReceiverOptions",
    "ReceiverSink",
    "Target",
    "basic",
    "gzipped",
    "revealed",
    "wall_clock",
    "zstandard_packed",
]
