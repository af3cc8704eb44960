"""The configuration file: its shape, how it is read, and what is said about a file that cannot be used."""

from mcwatch.settings.http import HttpConfig
from mcwatch.settings.loading import load
from mcwatch.settings.models import (
    AccountConfig,
    BatchConfig,
    DestinationConfig,
    LeaseConfig,
    LogConfig,
    SelectConfig,
    Settings,
    StoreConfig,
)
from mcwatch.settings.schema import schema

__all__ = [
    "AccountConfig",
    "BatchConfig",
    "DestinationConfig",
    "HttpConfig",
    "LeaseConfig",
    "LogConfig",
    "SelectConfig",
    "Settings",
    "StoreConfig",
    "load",
    "schema",
]
