"""Every metric and label that rules, dashboard and documentation name, and those there are."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mcwatch.telemetry.metrics import Metrics
from mcwatch.telemetry.store_metrics import STORED_METRICS

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "mcwatch.rules.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "mcwatch.json"
RUNBOOK = ROOT / "docs" / "RUNBOOK.md"

Rule = dict[str, Any]

OF_PROMETHEUS = {
    "up": frozenset[str](),
    "ALERTS": frozenset({"alertname", "alertstate", "severity"}),
    "process_start_time_seconds": frozenset[str](),
    "process_cpu_seconds_total": frozenset[str](),
    "process_resident_memory_bytes": frozenset[str](),
    "process_open_fds": frozenset[str](),
    "process_max_fds": frozenset[str](),
}
"""What Prometheus and its client library add, with labels of their own."""
OF_THE_TARGET = frozenset({"job", "instance", "pod"})


@cache
def known() -> dict[str, frozenset[str]]:
    """Return the labels of every series name of a scrape."""
    found: dict[str, frozenset[str]] = dict(OF_PROMETHEUS)
    for info in [*Metrics().infos, *(metric.info for metric in STORED_METRICS)]:
        labels = frozenset(info.labels)
        if info.kind == "histogram":
            found |= {f"{info.name}_bucket": labels | {"le"}, f"{info.name}_sum": labels, f"{info.name}_count": labels}
        else:
            found[info.name] = labels
    return found


@cache
def rules() -> list[Rule]:
    """Return every rule, those that record among them."""
    document = yaml.safe_load(RULES.read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def alerts() -> list[Rule]:
    """Return the rules that alert."""
    return [rule for rule in rules() if "alert" in rule]


@cache
def expressions() -> dict[str, str]:
    """Return every expression of rules and dashboard by where it stands."""
    found: dict[str, str] = {rule.get("alert") or rule["record"]: rule["expr"] for rule in rules()}
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found[f"${variable['name']}"] = variable["query"]["query"]
    return found


_TEXT = re.compile(r'"[^"]*"')
_SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*(?:\{([^}]*)\})?")
_LIST = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_WORDS = frozenset(
    "and or unless bool offset abs absent avg_over_time bottomk changes count deriv histogram_quantile increase"
    " label_values max max_over_time min min_over_time predict_linear rate sum time topk vector".split()
)


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each series name of an expression with the labels it is chosen by."""
    bare = re.sub(r"\[[^]]*\]", "", _LIST.sub(" ", _TEXT.sub('""', expression)))
    bare = re.sub(r"\boffset \w+", "", re.sub(r",\s*\w+\)", ")", bare) if "label_values" in bare else bare)
    for name, matchers in _SELECTOR.findall(bare):
        if name not in _WORDS:
            yield name, {one.split("=")[0].strip(" !~") for one in matchers.split(",") if one.strip()}


def grouped_by(expression: str) -> set[str]:
    """Return the labels that an expression groups or matches by."""
    return {label.strip() for _, labels in _LIST.findall(expression) for label in labels.split(",") if label.strip()}
