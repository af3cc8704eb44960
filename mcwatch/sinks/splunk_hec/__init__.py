"""Splunk's HTTP Event Collector (HEC), with indexer acknowledgement."""

from mcwatch.sinks.splunk_hec.config import SplunkHecSinkConfig

__all__ = ["SplunkHecSinkConfig"]
