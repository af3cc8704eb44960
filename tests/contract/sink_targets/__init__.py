"""A real target on this machine for every kind of sink, which can be stopped, started again and made to stall."""

from collections.abc import Callable
from pathlib import Path

from tests.contract.sink_targets.base import Target
from tests.contract.sink_targets.elasticsearch import ElasticsearchTarget
from tests.contract.sink_targets.hec import HecTarget
from tests.contract.sink_targets.http import HttpTarget, Wire
from tests.contract.sink_targets.kafka import KafkaTarget
from tests.contract.sink_targets.local import FakeTarget, FileTarget, StdoutTarget
from tests.contract.sink_targets.syslog import RelpTarget, StreamSyslogTarget, UdpSyslogTarget

TARGETS: dict[str, Callable[[Path], Target]] = {
    "fake": FakeTarget,
    "stdout": StdoutTarget,
    "file": FileTarget,
    "syslog-tcp": StreamSyslogTarget,
    "syslog-tcp-lf": lambda directory: StreamSyslogTarget(directory, "lf"),
    "syslog-tls": lambda directory: StreamSyslogTarget(directory, tls=True),
    "syslog-udp": UdpSyslogTarget,
    "syslog-relp": RelpTarget,
    "syslog-relp-tls": lambda directory: RelpTarget(directory, tls=True),
    "http-ndjson": HttpTarget,
    "http-array": lambda directory: HttpTarget(directory, Wire("array", "none")),
    "http-single": lambda directory: HttpTarget(directory, Wire("single")),
    "http-zstd-signed": lambda directory: HttpTarget(directory, Wire(compression="zstd", signed=True)),
    "http-tls": lambda directory: HttpTarget(directory, Wire(tls=True)),
    "elasticsearch": lambda directory: ElasticsearchTarget(directory, "plain"),
    "elasticsearch-gzip": ElasticsearchTarget,
    "elasticsearch-tls": lambda directory: ElasticsearchTarget(directory, "tls"),
    "kafka": KafkaTarget,
    "kafka-gzip": lambda directory: KafkaTarget(directory, "gzip"),
    "hec": lambda directory: HecTarget(directory, ack=False, compression="none"),
    "hec-ack": lambda directory: HecTarget(directory, compression="none"),
    "hec-ack-gzip-tls": lambda directory: HecTarget(directory, tls=True),
}
TYPES = {"stdout", "file", "syslog", "http", "kafka", "elasticsearch", "splunk_hec"}
"""The kinds of sink that have a target above."""
