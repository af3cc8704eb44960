"""Write the generated pages of docs/, or check that they are current.

Usage: python -m scripts.generate_docs [--check]
"""

import sys
from collections.abc import Callable
from pathlib import Path

from mcwatch.telemetry.metrics_page import metrics_page
from scripts import commands_page, configuration_page, fields_page, kubernetes_rules, status_schema
from scripts.dashboard import document

ROOT = Path(__file__).parents[1]
PAGES: dict[str, Callable[[], str]] = {
    document.PATH: document.render,
    "deploy/kubernetes/components/prometheus-operator/prometheusrule.yaml": kubernetes_rules.render,
    "docs/COMMANDS.md": commands_page.render,
    "docs/CONFIGURATION.md": configuration_page.render,
    "docs/FIELDS.md": fields_page.render,
    "docs/METRICS.md": metrics_page,
    "docs/status.schema.json": status_schema.render,
}


def stale() -> list[str]:
    """Return the pages that are not what the code says."""
    paths = {name: ROOT / name for name in PAGES}
    return [name for name, path in paths.items() if not path.exists() or path.read_text("utf-8") != PAGES[name]()]


def main(arguments: list[str]) -> int:
    """Write or check all pages; return the exit status."""
    if "--check" in arguments:
        for name in stale():
            print(f"{name} is not current; run `make docs`")
        return 1 if stale() else 0
    for name, render in PAGES.items():
        (ROOT / name).write_text(render(), "utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
