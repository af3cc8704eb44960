"""Standard output: JSON lines for programs, readable lines for people."""

from mcwatch.sinks.stdout.sink import StdoutSink, StdoutSinkConfig

__all__ = ["StdoutSink", "StdoutSinkConfig"]
