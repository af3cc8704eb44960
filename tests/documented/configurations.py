"""The configurations that the documentation shows, whole or in part, made into files that can be loaded."""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from mcwatch.mimecast.config import ApiConfig
from mcwatch.option_types import Config
from mcwatch.settings import AccountConfig, DestinationConfig, Settings
from mcwatch.settings.places import key_names

_BASE: dict[str, Any] = {
    "accounts": [
        {
            "name": "base",
            "api": {"auth": {"type": "oauth2", "client_id": "made-up", "client_secret": "made-up"}},
            "sources": [{"type": "processing_queue"}],
        }
    ],
    "destinations": [{"name": "base", "sink": {"type": "stdout"}}],
}
_MODELS: tuple[type[Config], ...] = (Settings, DestinationConfig, AccountConfig, ApiConfig)
"""What a block may be a part of."""
SECTIONS = frozenset(Settings.model_fields)
FOREIGN = {
    "services": "a compose file (deploy/compose, its own test)",
    "apiVersion": "a Kubernetes manifest (deploy/kubernetes, its own test)",
    "resources": "a kustomization (deploy/kubernetes, its own test)",
    "scrape_configs": "Prometheus's configuration (deploy/prometheus, its own test)",
    "rule_files": "Prometheus's configuration (deploy/prometheus, its own test)",
    "groups": "alert rules (deploy/prometheus, its own test)",
    "receivers": "Alertmanager's configuration, another program's",
}
"""Keys of YAML that is not mcwatch's, with who looks at it."""


def whole(text: str) -> dict[str, Any] | None:
    """Return the configuration a YAML block stands for, a part of one set into a base; None for other programs' YAML.

    Raises ValueError for YAML that is neither.
    """
    if FOREIGN.keys() & set(re.findall(r"^([A-Za-z_]+):", text, re.MULTILINE)):
        return None
    config = deepcopy(_BASE)
    read = yaml.safe_load(text)
    data: dict[str, Any] = (
        read if isinstance(read, dict) else {"destinations" if "sink" in read[0] else "accounts": read}
    )
    parts = (config, config["destinations"][0], config["accounts"][0], config["accounts"][0]["api"])
    for part, model in zip(parts, _MODELS, strict=True):
        if data.keys() <= key_names(model).keys():
            part.update(data)
            return config
    raise ValueError(f"no configuration, no part of one, and not in FOREIGN: {sorted(data)}")


def with_made_up_secrets(config: dict[str, Any], directory: Path) -> tuple[Path, dict[str, str]]:
    """Write the configuration with its secret files moved into ``directory``; return its path and the variables.

    A directory of accounts is made there, with one account.
    """
    environ: dict[str, str] = {}
    (directory / "secret").write_text("made-up-secret\n", "utf-8")
    (directory / "store-url").write_text("postgresql://made-up:made-up@db.example/made-up\n", "utf-8")
    accounts = config["accounts"]
    if isinstance(accounts, dict):
        (directory / accounts["directory"]).mkdir(exist_ok=True)
        (directory / accounts["directory"] / "base.yaml").write_text(yaml.safe_dump(_BASE["accounts"][0]), "utf-8")

    def replaced(value: object) -> object:
        if isinstance(value, dict):
            if value.keys() == {"file"}:
                name = "store-url" if Path(value["file"]).name == "store-url" else "secret"
                return {"file": str(directory / name)}
            if "env" in value and value.keys() <= {"env", "default"}:
                environ[value["env"]] = "made-up"
            return {key: replaced(entry) for key, entry in value.items()}
        return [replaced(entry) for entry in value] if isinstance(value, list) else value

    path = directory / "mcwatch.yaml"
    path.write_text(yaml.safe_dump(replaced(config), sort_keys=False), "utf-8")
    return path, environ


def option_names() -> frozenset[str]:
    """Return the last part of every key that a configuration may have."""
    return frozenset(name for model in _models(Config) for name in key_names(model))


def _models(model: type[Config]) -> Iterator[type[Config]]:
    for child in model.__subclasses__():
        if child.__module__.startswith("mcwatch."):
            yield child
        yield from _models(child)
