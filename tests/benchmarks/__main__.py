"""``python -m tests.benchmarks``: measure, print a table, write build/bench.json."""

import argparse
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.benchmarks import standing, stores
from tests.benchmarks.cases import BASE, Case, further_lines, hook
from tests.benchmarks.floor import rows_of
from tests.benchmarks.measuring import Bench, peers
from tests.benchmarks.pages import make_pages
from tests.benchmarks.prefill import prefill, stays_of
from tests.benchmarks.report import Apart, Line, report

_ROUNDS = 3
_FURTHER_ROUNDS = 5
"""Small differences of larger figures need more runs than the figures do."""
_FURTHER_PAGES = 20
_FLOOR_PAGES = 20
_APART = (standing.NAME, stores.NAME)
"""What is measured without the store of ten million fingerprints."""
_IN_QUEUE = 5
"""Of so many mails the queue has shown one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured, and which of the further lines: those that begin with one of ``only``."""

    pages: int
    end: datetime
    rounds: int
    further_rounds: int
    only: tuple[str, ...]


def main() -> None:
    """Run every line and print the ratios."""
    options = _options()
    end = datetime.now(UTC).replace(microsecond=0)
    oldest = end - timedelta(seconds=options.pages * 250 + 60)
    plan = Plan(
        options.pages, end, options.rounds or _ROUNDS, options.rounds or _FURTHER_ROUNDS, tuple(options.only or ())
    )
    standings = {}
    if not plan.only or standing.NAME.startswith(plan.only):
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            standings[standing.NAME] = standing.measure(Path(name))
    compared = stores.measure() if not plan.only or stores.NAME.startswith(plan.only) else {}
    apart = Apart(standings, compared)
    if plan.only and all(any(name.startswith(one) for name in _APART) for one in plan.only):
        report(None, {}, apart)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        store = Path(name) / "store.db"
        prefill(store, options.fingerprints, oldest)
        bench = Bench(store, oldest, make_pages(min(plan.pages, _FLOOR_PAGES), end))
        lines = {} if plan.only else _main_lines(bench, plan)
        lines |= _further_lines(bench, plan)
    report(bench.floor, lines, apart)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fingerprints", type=int, default=10_000_000, help="known before the first page")
    parser.add_argument("--pages", type=int, default=100, help="answers of 1,000 rows")
    parser.add_argument("--rounds", type=int, default=None, help="runs of each case, of which the best counts")
    parser.add_argument(
        "--only", nargs="+", metavar="PREFIX", help="measure formats, sinks, accounts and stores alone, of these"
    )
    parser.add_argument("--folder", type=Path, default=None, help="where the stores are written (default: temporary)")
    return parser.parse_args()


def _main_lines(bench: Bench, plan: Plan) -> dict[str, Line]:
    stays = stays_of(rows_of(make_pages(plan.pages, plan.end))[::_IN_QUEUE])
    with peers(plan.pages, plan.end) as to:
        cases = {
            "one": Case([hook(to, 0)]),
            "two": Case([hook(to, 0), hook(to, 1)]),
            "gzip": Case([hook(to, 0, "gzip")]),
            "queue": Case([hook(to, 0)], stays),
        }
        found = bench.best(to, cases, plan.rounds)
    us = {name: figures["new_cpu_secs"] / figures["new"] * 1e6 for name, figures in found.items()}
    rss = {name: figures["peak_rss_mib"] for name, figures in found.items()}
    one = found["one"]
    return {
        "ingest_to_http": Line(us["one"], rss["one"]),
        "repeat": Line(one["repeat_cpu_secs"] / one["duplicate"] * 1e6, rss["one"]),
        "with_queue": Line(us["queue"], rss["queue"]),
        "second_destination": Line(us["two"] - us["one"], rss["two"]),
        "gzip": Line(us["gzip"] - us["one"], rss["gzip"]),
    }


def _further_lines(bench: Bench, plan: Plan) -> dict[str, Line]:
    """Measure what further destinations cost, in fewer pages: there are many of these lines."""
    pages = min(plan.pages, _FURTHER_PAGES)
    with peers(pages, plan.end) as to:
        lines = further_lines(to, bench.store.parent)
        chosen = [line for line in lines if not plan.only or line.name.startswith(tuple(plan.only))]
        needed = {BASE, *(line.name for line in chosen), *(line.base for line in chosen)}
        cases = {line.name: line.case for line in lines if line.name in needed}
        found = bench.best(to, cases, plan.further_rounds)
    us = {name: figures["new_cpu_secs"] / figures["new"] * 1e6 for name, figures in found.items()}
    return {
        line.name: Line(us[line.name] - us[line.base], found[line.name]["peak_rss_mib"]) for line in chosen if line.base
    }


if __name__ == "__main__":
    main()
