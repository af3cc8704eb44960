"""Where the bytes go: one file or folder per target, each with its configuration, deliver and check."""

from typing import Annotated, Union

from pydantic import Field

from mcwatch.sinks.elasticsearch import ElasticsearchSinkConfig
from mcwatch.sinks.file import FileSinkConfig
from mcwatch.sinks.http import HttpSinkConfig
from mcwatch.sinks.kafka import KafkaSinkConfig
from mcwatch.sinks.splunk_hec import SplunkHecSinkConfig
from mcwatch.sinks.stdout import StdoutSinkConfig
from mcwatch.sinks.syslog import SyslogSinkConfig

SinkConfig = Annotated[
    Union[  # noqa: UP007 - one line per member to come
        StdoutSinkConfig,
        FileSinkConfig,
        SyslogSinkConfig,
        HttpSinkConfig,
        KafkaSinkConfig,
        ElasticsearchSinkConfig,
        SplunkHecSinkConfig,
    ],
    Field(discriminator="type", description="Where the events go."),
]

__all__ = ["SinkConfig"]
