"""The http sink: batches, or single events, to any web hook."""

from mcwatch.sinks.http.config import HttpSinkConfig

__all__ = ["HttpSinkConfig"]
