"""The software bill of materials of a release: CycloneDX 1.6 (https://cyclonedx.org), from the hashed lock file.

Written here and not by a tool, because the lock file says all of it: what is installed, in which version, by what
required, with the hashes that pip insists on. What is made from the same lock is the same to the byte.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

NAME = "mcwatch"
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ; ([^\\\n]+?))? ?\\?\n((?:    .*\n?)*)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_OWN = f"{NAME} (pyproject.toml)"


def bill(lock: str, version: str, made_at: datetime) -> str:
    """Return the bill of materials of what a lock file pins, for this version of mcwatch."""
    components: list[dict[str, Any]] = []
    needed_by: dict[str, list[str]] = {}
    for name, pinned, marker, body in _ENTRY.findall(lock):
        reference = _reference(name, pinned)
        components.append(
            {
                "type": "library",
                "bom-ref": reference,
                "name": name,
                "version": pinned,
                "purl": reference,
                "scope": "optional" if marker else "required",
                "hashes": [{"alg": "SHA-256", "content": found} for found in _HASH.findall(body)],
                **_licence(name),
                **({"properties": [{"name": f"{NAME}:marker", "value": marker}]} if marker else {}),
            }
        )
        for parent in _parents(body):
            needed_by.setdefault(parent, []).append(reference)
    root = _reference(NAME, version)
    references = {NAME: root, **{one["name"]: one["bom-ref"] for one in components}}
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": made_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": NAME,
                "version": version,
                "purl": root,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components,
        "dependencies": list(_dependencies(references, needed_by)),
    }
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))}"
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _reference(name: str, version: str) -> str:
    """Return the package URL (https://github.com/package-url/purl-spec)."""
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"


def _parents(body: str) -> Iterator[str]:
    """Yield the names that the lock file's ``via`` comments give."""
    for comment in re.findall(r"^ +# +(?:via ?)?(.*)$", body, re.MULTILINE):
        if comment:
            yield NAME if comment == _OWN else comment


def _dependencies(references: Mapping[str, str], needed_by: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    for name, reference in references.items():
        below = sorted(needed_by.get(name, []))
        yield {"ref": reference, **({"dependsOn": below} if below else {})}


def _licence(name: str) -> dict[str, Any]:
    """Return the licence that the installed package declares in SPDX's words (PEP 639); nothing where it does not."""
    try:
        declared = metadata.metadata(name).json.get("license_expression")
    except metadata.PackageNotFoundError:
        return {}
    return {"licenses": [{"expression": declared}]} if declared else {}


def write(lock: Path, version: str, made_at: datetime, target: Path) -> None:
    """Write the bill of materials."""
    target.write_text(bill(lock.read_text("utf-8"), version, made_at), "utf-8")
