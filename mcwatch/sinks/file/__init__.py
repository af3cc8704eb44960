"""A local file of lines, rotated by size and time."""

from mcwatch.sinks.file.rotation import RotationRules
from mcwatch.sinks.file.sink import FileSink, FileSinkConfig

__all__ = ["FileSink", "FileSinkConfig", "RotationRules"]
