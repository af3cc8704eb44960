"""Syslog: RFC 5424 messages over UDP, TCP or TLS."""

from mcwatch.sinks.syslog.config import SyslogSinkConfig

__all__ = ["SyslogSinkConfig"]
