"""Every alert can be understood, looked up and trusted: texts, an entry in the runbook, tests both ways."""

import re
from collections import defaultdict

import pytest
import yaml

from tests.architecture.deployed_metrics import RULES, RUNBOOK, Rule, alerts

_TESTS = sorted((RULES.parent / "tests").glob("*.yaml"))
_ALERTS = pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
_PARTS = ("What it means", "At risk", "Look", "Do", "Clears")


def _entries() -> dict[str, str]:
    """Return the entries of the runbook by their heading."""
    parts = re.split(r"^## (.+)$", RUNBOOK.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@_ALERTS
def test_alerts_explain_themselves(alert: Rule) -> None:
    """Severity, summary and description are there, name who is concerned, and point to the runbook."""
    assert alert["labels"]["severity"] in {"critical", "warning"}
    annotations = alert["annotations"]
    assert {"summary", "description", "runbook"} == annotations.keys()
    assert f"docs/RUNBOOK.md#{alert['alert'].lower()}" == annotations["runbook"]
    assert "$labels." in annotations["summary"] or alert["expr"].startswith("absent(")


@_ALERTS
def test_the_runbook_has_an_entry(alert: Rule) -> None:
    """The entry says what it means, what is at risk, how to look, what to do and when it clears."""
    entry = _entries()[alert["alert"]]
    assert [part for part in _PARTS if f"**{part}.**" not in entry] == []


def test_the_runbook_has_no_other_entries() -> None:
    """An alert that is gone leaves no entry behind."""
    named = {heading for heading in _entries() if heading.startswith("Mcwatch")}
    assert {alert["alert"] for alert in alerts()} == named


def test_every_alert_is_tried_both_ways() -> None:
    """Each alert fires in one test of promtool and does not in another, where it is nearly enough."""
    outcomes: dict[str, set[bool]] = defaultdict(set)
    for path in _TESTS:
        document = yaml.safe_load(path.read_text("utf-8"))
        assert ["../mcwatch.rules.yaml"] == document["rule_files"]
        for case in document["tests"]:
            for expectation in case["alert_rule_test"]:
                outcomes[expectation["alertname"]].add(bool(expectation["exp_alerts"]))
    assert {alert["alert"]: {True, False} for alert in alerts()} == outcomes


def test_names_are_unique() -> None:
    """No two alerts share a name, and so an entry of the runbook."""
    names = [alert["alert"] for alert in alerts()]
    assert len(set(names)) == len(names)
