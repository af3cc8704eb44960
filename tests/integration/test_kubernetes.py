"""deploy/kubernetes against the published schemas: each file as it stands, and the overlays as kubectl renders them."""

import importlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

_ROOT = Path(__file__).parents[2]
_KUBERNETES = _ROOT / "deploy" / "kubernetes"
_SCHEMAS = _ROOT / "tests" / "schemas" / "prometheus-operator"
_OVERLAYS = sorted(path.name for path in (_KUBERNETES / "overlays").iterdir())
_VERSIONS = ("1.27", "1.32", "1.37")
"""Kubernetes from the oldest that clouds still run to the newest with a schema."""
_OPERATOR = "monitoring.coreos.com/v1"

Json = dict[str, Any]


def _resources() -> Iterator[Path]:
    """Yield the files that are resources: what kustomizations name as such."""
    for kustomization in sorted(_KUBERNETES.rglob("kustomization.yaml")):
        named = yaml.safe_load(kustomization.read_text("utf-8")).get("resources", [])
        yield from (kustomization.parent / name for name in named if name.endswith(".yaml"))


_FILES = list(_resources())


def _strict(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Return a schema of the operator that refuses unknown fields, which the API server would drop in silence."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(part) for key, part in schema.items()}
    if schema.get("properties"):
        strict.setdefault("additionalProperties", False)
    if str(schema.get("pattern", "")).startswith("^(?i)"):
        # Go takes flags anywhere in an expression, Python at its beginning.
        strict["pattern"] = "(?i)^" + strict["pattern"].removeprefix("^(?i)")
    return strict


def _validate(resource: Json, version: str) -> None:
    """Hold a resource against the schema of its kind; fail where the wheel with Kubernetes' schemas is missing."""
    if resource["apiVersion"] == _OPERATOR:
        schema = json.loads((_SCHEMAS / f"{resource['kind'].lower()}.json").read_text("utf-8"))
        # Their metadata is that of every resource, and the published schema leaves it open.
        jsonschema.validate(resource, _strict(schema), jsonschema.Draft202012Validator)
        return
    try:
        kubernetes_validate = importlib.import_module("kubernetes_validate")
    except ModuleNotFoundError:
        text = "the kubernetes-validate wheel is not installed (make test brings it)"
        if os.environ.get("MCWATCH_REQUIRE_COMPONENTS"):
            pytest.fail(text)
        pytest.skip(text)
    kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("path", _FILES, ids=lambda path: str(path.relative_to(_KUBERNETES)))
def test_resources_fit_the_schemas(path: Path, version: str) -> None:
    """Every resource is valid by the schema of its kind, which allows no unknown field."""
    _validate(yaml.safe_load(path.read_text("utf-8")), version)


def test_schemas_refuse_mistakes() -> None:
    """A misspelt field is found, in Kubernetes' own kinds and in the operator's."""
    [monitor] = [yaml.safe_load(path.read_text("utf-8")) for path in _FILES if path.name == "podmonitor.yaml"]
    monitor["spec"]["podMetricsEndpoints"][0]["intervall"] = "30s"
    with pytest.raises(jsonschema.ValidationError, match="intervall"):
        _validate(monitor, _VERSIONS[-1])
    [service] = [yaml.safe_load(path.read_text("utf-8")) for path in _FILES if path.name == "service.yaml"]
    service["spec"]["clusterIp"] = "None"
    with pytest.raises(Exception, match="clusterIp"):
        _validate(service, _VERSIONS[-1])


def _rendered(overlay: str) -> dict[str, Json]:
    """Return the resources of an overlay by kind, as ``kubectl apply -k`` would send them."""
    words = ["kubectl", "kustomize", str(_KUBERNETES / "overlays" / overlay)]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError:
        # Also where all components are required: no package of Debian or of an index has a kubectl that is new enough.
        pytest.skip("kubectl is not installed; the files are checked one by one")
    assert done.returncode == 0, done.stderr
    return {resource["kind"]: resource for resource in yaml.safe_load_all(done.stdout)}


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_overlays_fit_the_schemas(overlay: str, version: str) -> None:
    """What kubectl makes of an overlay is valid, too."""
    for resource in _rendered(overlay).values():
        _validate(resource, version)


@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_overlays_fit_together(overlay: str) -> None:
    """In a rendered overlay every mount has its volume, every volume its source, every selector its pod."""
    resources = _rendered(overlay)
    spec = _workload(resources)["spec"]
    pod = spec["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates") or []}
    mounted = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
    assert mounted == volumes.keys() | claims
    assert volumes["config"]["configMap"]["name"] == resources["ConfigMap"]["metadata"]["name"]
    labels = spec["template"]["metadata"]["labels"]
    selectors = [spec["selector"]["matchLabels"], resources["Service"]["spec"]["selector"]]
    selectors.append(resources["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"])
    optional = [resources[kind]["spec"] for kind in ("PodMonitor", "PodDisruptionBudget") if kind in resources]
    selectors += [one["selector"]["matchLabels"] for one in optional]
    selectors += [rule["labelSelector"]["matchLabels"] for rule in _spreading(pod)]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert pod["serviceAccountName"] == resources["ServiceAccount"]["metadata"]["name"]
    assert all(":" in container["image"] for container in pod["containers"])
    namespaces = {one["metadata"].get("namespace") for one in resources.values() if one["kind"] != "Namespace"}
    assert namespaces == {resources["Namespace"]["metadata"]["name"]}


def _workload(resources: dict[str, Json]) -> Json:
    """Return what makes the pods."""
    [found] = [resources[kind] for kind in ("StatefulSet", "Deployment") if kind in resources]
    return found


def _spreading(pod: Json) -> list[Json]:
    """Return the rules that keep pods apart."""
    apart = pod.get("affinity", {}).get("podAntiAffinity", {})
    return [*pod.get("topologySpreadConstraints", []), *(rule for rules in apart.values() for rule in rules)]


@pytest.mark.parametrize("overlay", ["single", "replicas"])
def test_secrets_stay_readable_for_the_group(overlay: str) -> None:
    """Kubectl reads the mode as octal."""
    pod = _workload(_rendered(overlay))["spec"]["template"]["spec"]
    [secrets] = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    assert secrets["defaultMode"] == 0o440
