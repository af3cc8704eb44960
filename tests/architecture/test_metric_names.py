"""Rules, dashboard and documentation name only metrics and labels that there are."""

import re
from pathlib import Path

import pytest

from tests.architecture.deployed_metrics import (
    DASHBOARD,
    OF_THE_TARGET,
    ROOT,
    expressions,
    grouped_by,
    known,
    rules,
    selectors,
)

_PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_NAMES = {name.removeprefix("mcwatch_") for name in known() if name.startswith("mcwatch_")}
_ENDINGS = "|".join(sorted({name.rpartition("_")[2] for name in _NAMES}))
_IN_TEXT = re.compile(rf"\bmcwatch_([a-z0-9_]*_(?:{_ENDINGS}))\b")


@pytest.mark.parametrize(("place", "expression"), expressions().items())
def test_expressions_name_what_there_is(place: str, expression: str) -> None:
    """Every series of an expression exists, and has the labels it is chosen by."""
    series = known() | {rule["record"]: frozenset[str]() for rule in rules() if "record" in rule}
    for name, labels in selectors(expression):
        assert name in series, f"{place}: there is no {name}"
        assert labels <= series[name] | OF_THE_TARGET, f"{place}: {name} has no such label"


@pytest.mark.parametrize(("place", "expression"), expressions().items())
def test_expressions_group_by_what_they_have(place: str, expression: str) -> None:
    """Every label that an expression groups or matches by is one of some series in it."""
    there = frozenset().union(*(known().get(name, frozenset()) for name, _ in selectors(expression)))
    assert grouped_by(expression) <= there | OF_THE_TARGET, place


def test_legends_name_labels() -> None:
    """Every label in a legend of the dashboard exists."""
    labels = frozenset().union(*known().values()) | OF_THE_TARGET
    assert set(re.findall(r"\{\{(\w+)\}\}", DASHBOARD.read_text("utf-8"))) <= labels


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_pages_name_what_there_is(page: Path) -> None:
    """Every metric that a page of the documentation names exists; a histogram may be named as a whole."""
    histograms = {name.removesuffix("_bucket") for name in _NAMES if name.endswith("_bucket")}
    assert set(_IN_TEXT.findall(page.read_text("utf-8"))) <= _NAMES | histograms


def test_the_reader_of_expressions_reads() -> None:
    """Names, labels and groupings are found where PromQL has them."""
    query = 'sum by (account, le) (rate(mcwatch_x_bucket{instance=~"a|b{}", queue!="q"}[5m] offset 1h)) / on (job) up'
    assert [("mcwatch_x_bucket", {"instance", "queue"}), ("up", set())] == list(selectors(query))
    assert {"account", "le", "job"} == grouped_by(query)
