"""A local file of lines, rotated by size."""

from mcwatch.sinks.file.sink import FileSink, FileSinkConfig

__all__ = ["FileSink", "FileSinkConfig"]
