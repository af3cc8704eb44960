"""A real target on this machine for every kind of sink, which can be stopped, started again and made to stall."""

from collections.abc import Callable
from pathlib import Path

from tests.contract.sink_targets.base import Target
from tests.contract.sink_targets.http import HttpTarget
from tests.contract.sink_targets.local import FakeTarget, FileTarget, StdoutTarget
from tests.contract.sink_targets.syslog import StreamSyslogTarget, UdpSyslogTarget

TARGETS: dict[str, Callable[[Path], Target]] = {
    "fake": FakeTarget,
    "stdout": StdoutTarget,
    "file": FileTarget,
    "syslog-tcp": StreamSyslogTarget,
    "syslog-tcp-lf": lambda directory: StreamSyslogTarget(directory, "lf"),
    "syslog-tls": lambda directory: StreamSyslogTarget(directory, tls=True),
    "syslog-udp": UdpSyslogTarget,
    "http-ndjson": HttpTarget,
    "http-array": lambda directory: HttpTarget(directory, "array", "none"),
}
TYPES = {"stdout", "file", "syslog", "http"}
"""The kinds of sink that have a target above."""
