"""deploy/kubernetes: what its files refer to is there, and its pods may do nothing they need not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcwatch import __version__
from mcwatch.settings import load
from scripts import kubernetes_rules
from tests.architecture.examples import with_fake_secrets

_ROOT = Path(__file__).parents[2]
_KUBERNETES = _ROOT / "deploy" / "kubernetes"
_KUSTOMIZATIONS = sorted(_KUBERNETES.rglob("kustomization.yaml"))
_OVERLAYS = sorted((_KUBERNETES / "overlays").iterdir())
_DRAIN_SECS = 20
"""The default of `mcwatch run --drain-timeout`."""
_ON_THE_VOLUME = "sqlite:////var/lib/mcwatch/mcwatch.db"
_SHARED = "postgresql://mcwatch:made-up@db.example:5432/mcwatch?sslmode=verify-full"

Json = dict[str, Any]


def _name(path: Path) -> str:
    return str(path.relative_to(_KUBERNETES))


def _read(path: Path) -> Json:
    document: Json = yaml.safe_load(path.read_text("utf-8"))
    return document


def _references(kustomization: Json) -> Iterator[str]:
    """Yield every file and directory that a kustomization names."""
    yield from kustomization.get("resources", [])
    yield from kustomization.get("components", [])
    for patch in kustomization.get("patches", []):
        yield patch["path"]
    for generator in kustomization.get("configMapGenerator", []):
        yield from generator["files"]


def _pod() -> Json:
    spec: Json = _read(_KUBERNETES / "base" / "statefulset.yaml")["spec"]["template"]["spec"]
    return spec


def _containers() -> list[Json]:
    """Return every container there is: the daemon's, and those that overlays add."""
    added = _read(_KUBERNETES / "overlays" / "demo" / "simulator.yaml")["spec"]["template"]["spec"]["containers"]
    return [*_pod()["containers"], *(container for container in added if "image" in container)]


@pytest.mark.parametrize("path", _KUSTOMIZATIONS, ids=_name)
def test_references_are_there(path: Path) -> None:
    """Every file that a kustomization names exists, and every file beside it is named."""
    named = set(_references(_read(path)))
    for reference in named:
        place = path.parent / reference
        assert (place / "kustomization.yaml" if place.is_dir() else place).is_file(), reference
    beside = {file.name for file in path.parent.iterdir() if file.is_file()} - {path.name}
    assert beside - named == set()


@pytest.mark.parametrize("overlay", _OVERLAYS, ids=_name)
def test_configurations_load(overlay: Path, tmp_path: Path) -> None:
    """The configuration of every overlay loads, listens where the probes ask, and keeps its store where it may."""
    path, environ = with_fake_secrets(overlay / "mcwatch.yaml", tmp_path)
    (tmp_path / "store-url").write_text(_SHARED, "utf-8")
    settings = load(path, environ)
    assert settings.http.listen == "0.0.0.0:9640"
    assert settings.store.url.reveal() == (_SHARED if overlay.name == "replicas" else _ON_THE_VOLUME)


@pytest.mark.parametrize("overlay", _OVERLAYS, ids=_name)
def test_overlays_are_complete(overlay: Path) -> None:
    """Every overlay has a namespace that admits restricted pods only, and the image of this version."""
    kustomization = _read(overlay / "kustomization.yaml")
    namespace = _read(overlay / "namespace.yaml")["metadata"]
    assert kustomization["namespace"] == namespace["name"]
    assert namespace["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    [image] = kustomization["images"]
    assert (image["name"], image["newTag"]) == ("mcwatch", __version__)


@pytest.mark.parametrize("container", _containers(), ids=lambda container: str(container["name"]))
def test_containers_are_restricted(container: Json) -> None:
    """Every container keeps to the restricted pod security standard, with a read-only root and a limit of memory."""
    context = container["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"].keys() == {"memory"}
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_pod_is_restricted() -> None:
    """The pod runs as the image's user, with the runtime's seccomp profile and without a token."""
    pod = _pod()
    context = pod["securityContext"]
    assert (context["runAsNonRoot"], context["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert {context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {10001}
    assert "USER 10001:10001" in (_ROOT / "Dockerfile").read_text("utf-8")
    assert pod["automountServiceAccountToken"] is False
    assert _read(_KUBERNETES / "base" / "serviceaccount.yaml")["automountServiceAccountToken"] is False


def test_pod_has_time_to_end() -> None:
    """Kubernetes waits longer for the end than the daemon hands over what is due."""
    assert _pod()["terminationGracePeriodSeconds"] > 2 * _DRAIN_SECS


def test_replicas_go_one_at_a_time() -> None:
    """Updates, drained nodes and nodes that die take one replica each, and no update makes one too many."""
    overlay = _KUBERNETES / "overlays" / "replicas"
    patch = {step["path"]: step.get("value") for step in yaml.safe_load((overlay / "replicas.yaml").read_text("utf-8"))}
    assert (patch["/kind"], patch["/spec/replicas"]) == ("Deployment", 3)
    assert patch["/spec/strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert _read(overlay / "poddisruptionbudget.yaml")["spec"]["maxUnavailable"] == 1
    [apart] = patch["/spec/template/spec/affinity"]["podAntiAffinity"].values()
    assert [rule["topologyKey"] for rule in apart] == ["kubernetes.io/hostname"]


def test_replicas_may_reach_the_database() -> None:
    """The NetworkPolicy opens the port of the database beside those of the destinations."""
    steps = yaml.safe_load((_KUBERNETES / "overlays" / "replicas" / "egress.yaml").read_text("utf-8"))
    opened = [port for step in steps for port in step["value"]["ports"]]
    assert {"protocol": "TCP", "port": 5432} in opened


def test_secrets_are_for_the_group_alone() -> None:
    """The files of the Secret are readable by their owner and the pod's group, and nobody may write them."""
    [secrets] = [volume["secret"] for volume in _pod()["volumes"] if "secret" in volume]
    assert secrets["defaultMode"] == 0o440


def test_probes_ask_paths_without_password() -> None:
    """Every probe asks a path that answers without a password, on the port that has a name."""
    [container] = _pod()["containers"]
    [port] = container["ports"]
    paths = {}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["port"] == port["name"]
        paths[probe] = asked["path"]
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}


def test_alert_rules_are_those_of_prometheus() -> None:
    """The PrometheusRule holds the rules of deploy/prometheus, word for word; `make docs` writes it."""
    path = _KUBERNETES / "components" / "prometheus-operator" / "prometheusrule.yaml"
    assert path.read_text("utf-8") == kubernetes_rules.render()
    rules = yaml.safe_load((_ROOT / "deploy" / "prometheus" / "mcwatch.rules.yaml").read_text("utf-8"))
    assert _read(path)["spec"] == rules
