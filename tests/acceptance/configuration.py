"""Configurations as an operator would write them, made for one test."""

from collections.abc import Mapping
from typing import Any

from mcwatch.simulator import Simulator
from tests.fakes.hec import TOKEN

Config = dict[str, Any]

FAST = "200ms"


def account(
    simulator: Simulator,
    name: str = "demo",
    *,
    base_url: str | None = None,
    auth: Mapping[str, object] | None = None,
    interval: str = FAST,
    **api: object,
) -> Config:
    """Return an account that reads both feeds of a simulated tenant."""
    tenant = next((one for one in simulator.config.accounts if one.name == name), simulator.config.accounts[0])
    credentials = {"type": "oauth2", "client_id": tenant.client_id, "client_secret": tenant.client_secret}
    return {
        "name": name,
        "api": {
            "base_url": base_url or simulator.url,
            "auth": dict(auth or credentials),
            "max_requests_per_minute": 60_000,
            **api,
        },
        "sources": [
            {"type": "processing_queue", "interval": interval},
            {"type": "message_finder", "interval": interval, "domains": list(tenant.domains[:1])},
        ],
    }


def hook(url: str, name: str = "hook", **more: object) -> Config:
    """Return a destination that posts to a web hook."""
    sink = {"type": "http", "url": url, **({"headers": more.pop("headers")} if "headers" in more else {})}
    return {"name": name, "sink": sink, "start": "earliest", **more}


def file(path: str = "events.ndjson", name: str = "archive") -> Config:
    """Return a destination that writes a file."""
    return {"name": name, "sink": {"type": "file", "path": path}, "start": "earliest"}


def syslog(port: int, name: str = "syslog") -> Config:
    """Return a destination that writes to a syslog server over TCP."""
    sink = {"type": "syslog", "address": f"127.0.0.1:{port}", "transport": "tcp", "framing": "lf"}
    return {"name": name, "sink": sink, "start": "earliest"}


def splunk(url: str, name: str = "splunk", *, sink: Mapping[str, object] | None = None, **more: object) -> Config:
    """Return a destination that posts to Splunk and waits for its acknowledgements; ``sink`` adds options."""
    options = {"type": "splunk_hec", "url": url, "token": TOKEN, **(sink or {})}
    return {"name": name, "sink": options, "start": "earliest", **more}


def elasticsearch(
    url: str, name: str = "elastic", *, sink: Mapping[str, object] | None = None, **more: object
) -> Config:
    """Return a destination that writes to a data stream in ECS; ``sink`` adds options."""
    options = {"type": "elasticsearch", "url": url, "data_stream": "logs-mimecast-default", **(sink or {})}
    return {"name": name, "sink": options, "format": {"type": "ecs"}, "start": "earliest", **more}


def whole(accounts: list[Config], destinations: list[Config], **sections: Config) -> Config:
    """Return a whole configuration with a small store and a free port."""
    return {
        "log": {"level": "info", **sections.pop("log", {})},
        "http": {"listen": "127.0.0.1:0", **sections.pop("http", {})},
        "store": {"url": "sqlite:///mcwatch.db", "reserve": 0, **sections.pop("store", {})},
        "accounts": accounts,
        "destinations": destinations,
        **sections,
    }
