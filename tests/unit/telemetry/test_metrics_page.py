"""The generated page of metrics."""

from pathlib import Path

from mcwatch.telemetry.metrics import Metrics
from mcwatch.telemetry.metrics_page import metrics_page

PAGE = Path(__file__).parents[3] / "docs" / "METRICS.md"


def test_the_page_in_docs_is_current() -> None:
    """docs/METRICS.md is what the code generates; `make docs` writes it."""
    assert PAGE.read_text("utf-8") == metrics_page()


def test_the_page_names_every_metric() -> None:
    """Each metric has its row."""
    page = metrics_page()

    assert [name for name in Metrics().names if f"| `{name}` |" not in page] == []
