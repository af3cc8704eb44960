"""The dashboard is what its description says, valid by Grafana's own models, and explains each panel."""

import json
from itertools import pairwise
from typing import Any

import grafana_foundation_sdk.models.dashboard as models
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from scripts.dashboard.document import PATH, render
from tests.architecture.deployed_metrics import DASHBOARD, ROOT

_PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"


def _dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return found


def test_the_file_is_current() -> None:
    """Making it again changes nothing (`python -m scripts.dashboard` writes it)."""
    assert render() == (ROOT / PATH).read_text("utf-8")


def test_grafana_knows_every_key() -> None:
    """Read into Grafana's models and written again, nothing is lost or changed."""
    plugins.register_default_plugins()
    there_and_back = json.loads(json.dumps(models.Dashboard.from_json(_dashboard()), cls=JSONEncoder))
    assert [] == list(_lost(_dashboard(), there_and_back))


def _lost(ours: object, theirs: object, path: str = "") -> list[str]:
    """Return where something of ours is missing or different; what models add as defaults is no difference."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [at for key in ours for at in _lost(ours[key], theirs.get(key, "nothing"), f"{path}/{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = zip(ours, theirs, strict=True)
        return [at for number, (one, other) in enumerate(pairs) for at in _lost(one, other, f"{path}/{number}")]
    return [] if ours == theirs else [f"{path}: {ours!r} became {theirs!r}"]


def test_every_panel_explains_itself() -> None:
    """Each has a title of its own and says what it shows and what to do."""
    panels = [panel for panel in _dashboard()["panels"] if panel["type"] != "row"]
    assert len({(panel["title"], panel["type"]) for panel in panels}) == len(panels)
    assert [] == [panel["title"] for panel in panels if len(panel["description"]) < 20]


def test_the_overview_comes_first() -> None:
    """The first row holds the numbers that say whether all is well."""
    panels = _dashboard()["panels"]
    [_, second] = [number for number, panel in enumerate(panels) if panel["type"] == "row"][:2]
    assert "Overview" == panels[0]["title"]
    assert {"stat"} == {panel["type"] for panel in panels[1:second]}


def test_panels_do_not_overlap() -> None:
    """Every cell of the grid belongs to one panel, and no panel leaves it."""
    cells: set[tuple[int, int]] = set()
    for panel in _dashboard()["panels"]:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & own, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= own
    assert all(later["id"] == earlier["id"] + 1 for earlier, later in pairwise(_dashboard()["panels"]))


def test_variables_are_used_and_provisioned() -> None:
    """Data source, instance, account and destination can be chosen; the provisioned data source is a Prometheus."""
    variables = {one["name"]: one for one in _dashboard()["templating"]["list"]}
    assert ["datasource", "instance", "account", "destination"] == list(variables)
    assert all(one["includeAll"] for one in variables.values() if one["type"] == "query")
    [source] = yaml.safe_load((_PROVISIONING / "datasources" / "prometheus.yaml").read_text("utf-8"))["datasources"]
    assert ("prometheus", "http://prometheus:9090") == (source["type"], source["url"])
    [provider] = yaml.safe_load((_PROVISIONING / "dashboards" / "mcwatch.yaml").read_text("utf-8"))["providers"]
    assert "file" == provider["type"]
