"""Syslog: RFC 5424 messages over UDP, TCP, TLS or RELP."""

from mcwatch.sinks.syslog.config import SyslogSinkConfig

__all__ = ["SyslogSinkConfig"]
