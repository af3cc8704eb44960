"""Small configurations of a daemon that reaches nobody."""

from pathlib import Path
from typing import Any

from mcwatch.settings import Settings


def account(name: str, **api: object) -> dict[str, Any]:
    """Return an account at an address where nobody listens."""
    auth = {"type": "oauth2", "client_id": "id", "client_secret": "secret"}
    return {
        "name": name,
        "api": {"base_url": "http://127.0.0.1:9", "auth": auth, **api},
        "sources": [{"type": "processing_queue"}],
    }


def settings(place: Path, *accounts: dict[str, Any]) -> Settings:
    """Return the settings of a daemon with its store in ``place``."""
    return Settings.model_validate(
        {
            "http": {"listen": "127.0.0.1:0"},
            "store": {"url": f"sqlite:///{place / 'mcwatch.db'}", "reserve": 0},
            "accounts": list(accounts) or [account("acme")],
            "destinations": [{"name": "out", "sink": {"type": "file", "path": str(place / "out.ndjson")}}],
        }
    )
