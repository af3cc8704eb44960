"""``python -m tests.benchmarks``: measure, print a table, write build/bench.json."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mcwatch.domain.passage import Passage
from tests.benchmarks.floor import floor_us, rows_of
from tests.benchmarks.pages import make_pages
from tests.benchmarks.prefill import lay, linked_total, prefill, reset, stays_of

_LIMIT_SECS = 600
_RUNS = 3
_FLOOR_PAGES = 20
_IN_QUEUE = 5
"""Of so many mails the queue has shown one."""


def main() -> None:
    """Run every line and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fingerprints", type=int, default=10_000_000, help="known before the first page")
    parser.add_argument("--pages", type=int, default=100, help="answers of 1,000 rows")
    parser.add_argument("--folder", type=Path, default=None, help="where the stores are written (default: temporary)")
    options = parser.parse_args()
    end = datetime.now(UTC).replace(microsecond=0)
    oldest = end - timedelta(seconds=options.pages * 250 + 60)
    stays = stays_of(rows_of(make_pages(options.pages, end))[::_IN_QUEUE])
    with tempfile.TemporaryDirectory(dir=options.folder) as name, _peers(options.pages, end) as url:
        store = Path(name) / "store.db"
        prefill(store, options.fingerprints, oldest)
        bench = Bench(url, store, oldest, make_pages(min(options.pages, _FLOOR_PAGES), end))
        one, two, gzip, queue = bench.best(Case(1), Case(2), Case(1, "gzip"), Case(1, stays=stays))
    rows, floor = one["new"], bench.floor
    per_event = {key: value[f"{phase}_cpu_secs"] / rows * 1e6 for key, value, phase in _phases(one, two, gzip)}
    lines: dict[str, dict[str, float]] = {}
    lines["ingest_to_http"] = _line(per_event["one"], floor, one["peak_rss_mib"])
    lines["repeat"] = _line(per_event["repeat"], floor, one["peak_rss_mib"])
    lines["with_queue"] = _line(queue["new_cpu_secs"] / rows * 1e6, floor, queue["peak_rss_mib"])
    lines["second_destination"] = _line(per_event["two"] - per_event["one"], floor, two["peak_rss_mib"])
    lines["gzip"] = _line(per_event["gzip"] - per_event["one"], floor, gzip["peak_rss_mib"])
    _report(floor, lines, one)


def _phases(one: dict[str, Any], two: dict[str, Any], gzip: dict[str, Any]) -> list[tuple[str, dict[str, Any], str]]:
    return [("one", one, "new"), ("repeat", one, "repeat"), ("two", two, "new"), ("gzip", gzip, "new")]


def _line(us: float, floor: float, rss_mib: float) -> dict[str, float]:
    return {"us_per_event": round(us, 2), "ratio": round(us / floor, 2), "peak_rss_mib": round(rss_mib, 1)}


def _report(floor: float, lines: dict[str, dict[str, float]], one: dict[str, Any]) -> None:
    print(f"floor (typed decode + encode): {floor:.2f} us per row; {one['new']:,} rows")
    print(f"{'':22}{'us/event':>10}{'ratio':>8}{'peak RSS MiB':>14}")
    for name, line in lines.items():
        print(f"{name:22}{line['us_per_event']:>10.2f}{line['ratio']:>8.2f}{line['peak_rss_mib']:>14.1f}")
    print(f"CPU seconds per 100,000 new records: {one['new_cpu_secs'] / one['new'] * 1e5:.2f}")
    target = Path("build/bench.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"floor_us": round(floor, 3), "lines": lines}, indent=2) + "\n")


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured; ``stays`` are those that the queue has kept before the finder is read."""

    destinations: int
    compression: str = "none"
    stays: Sequence[Passage] = ()


@dataclass(slots=True)
class Bench:
    """A prefilled store and the peers it is measured with; ``oldest`` is older than any row the API shows."""

    url: str
    store: Path
    oldest: datetime
    pages: Sequence[bytes]
    floor: float = float("inf")

    def best(self, *cases: Case) -> list[dict[str, Any]]:
        """Return the lowest figures of each case over some rounds: what else the machine does only adds.

        Cases and floor take turns, so that none of them has the machine's good minutes for itself.
        """
        rounds = [[self._run(case) for case in cases] for _ in range(_RUNS)]
        return [{name: min(run[name] for run in runs) for name in runs[0]} for runs in zip(*rounds, strict=True)]

    def _run(self, case: Case) -> dict[str, Any]:
        self.floor = min(self.floor, floor_us(self.pages))
        lay(self.store, case.stays, self.oldest)
        arguments = [self.url, str(self.store), str(case.destinations), case.compression]
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.subject", *arguments],
            check=True,
            stdout=subprocess.PIPE,
            timeout=_LIMIT_SECS,
        )
        linked = linked_total(self.store)
        reset(self.store, self.oldest)
        if linked != len(case.stays):
            sys.exit(f"{linked} of {len(case.stays)} mails were linked to their stay in the queue")
        result: dict[str, Any] = json.loads(done.stdout)
        return result


@contextmanager
def _peers(pages: int, end: datetime) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.benchmarks.peers", str(pages), end.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
