"""Running cases one after the other on a prefilled store, and proving after each that every event arrived."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import msgspec

from tests.benchmarks.cases import Case, Document
from tests.benchmarks.floor import floor_us
from tests.benchmarks.peers import Addresses
from tests.benchmarks.prefill import lay, linked_total, reset

_LIMIT_SECS = 600
_ARRIVAL_SECS = 10.0
"""What a peer's kernel has acknowledged, the peer may still have to read."""

Figures = dict[str, Any]


@contextmanager
def peers(pages: int, end: datetime) -> Iterator[Addresses]:
    """Run the peers, with so many answers to give."""
    command = [sys.executable, "-m", "tests.benchmarks.peers", str(pages), end.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield msgspec.json.decode(process.stdout.readline(), type=Addresses)
        finally:
            process.terminate()


@dataclass(slots=True)
class Bench:
    """A prefilled store, and the pages that the floor is measured with; ``oldest`` is older than any row shown."""

    store: Path
    oldest: datetime
    pages: Sequence[bytes]
    floor: float = float("inf")

    def best(self, to: Addresses, cases: Mapping[str, Case], rounds: int) -> dict[str, Figures]:
        """Return the lowest figures of each case over some rounds: what else the machine does only adds.

        Cases and floor take turns, so that none of them has the machine's good minutes for itself.
        """
        runs: dict[str, list[Figures]] = {name: [] for name in cases}
        for number in range(1, rounds + 1):
            for done, (name, case) in enumerate(cases.items(), 1):
                _progress(f"round {number} of {rounds}, case {done} of {len(cases)}: {name}")
                runs[name].append(self._run(to, name, case))
        _progress("")
        return {
            name: {figure: min(run[figure] for run in found) for figure in found[0]} for name, found in runs.items()
        }

    def _run(self, to: Addresses, name: str, case: Case) -> Figures:
        self.floor = min(self.floor, floor_us(self.pages))
        lay(self.store, case.stays, self.oldest)
        _ask(to, "/forget", "POST")
        figures = self._measured(to, case)
        linked = linked_total(self.store)
        reset(self.store, self.oldest)
        if linked != len(case.stays):
            sys.exit(f"{name}: {linked} of {len(case.stays)} mails were linked to their stay in the queue")
        for destination in case.destinations:
            came, arrived = figures["new"], _arrived(to, destination, figures["new"])
            if arrived != came:
                sys.exit(f"{name}: {arrived:,} of {came:,} events arrived at {destination['name']}")
        return figures

    def _measured(self, to: Addresses, case: Case) -> Figures:
        result = self.store.with_name("result.json")
        job = {
            "url": to.http,
            "store": str(self.store),
            "destinations": list(case.destinations),
            "result": str(result),
        }
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.subject"],
            input=json.dumps(job).encode(),
            check=True,
            stdout=subprocess.DEVNULL,  # where the sink of that name writes to
            timeout=_LIMIT_SECS,
        )
        figures: Figures = json.loads(result.read_bytes())
        return figures


def _arrived(to: Addresses, destination: Document, expected: int) -> int:
    """Return how many events a destination's receiver has counted; waits a little until it has read all of them."""
    kind = destination["sink"]["type"]
    if kind == "stdout":
        return expected  # nobody reads /dev/null: the subject has looked that the sink accepted all of them
    if kind == "file":
        path = Path(destination["sink"]["path"])
        lines = path.read_bytes().count(b"\n")
        path.unlink()
        return lines
    until = time.monotonic() + _ARRIVAL_SECS
    while (count := int(_ask(to, "/received").get(destination["name"], 0))) < expected and time.monotonic() < until:
        time.sleep(0.05)
    return count


def _ask(to: Addresses, path: str, method: str = "GET") -> dict[str, Any]:
    with urlopen(Request(to.http + path, method=method), timeout=30) as answer:
        found: dict[str, Any] = json.loads(answer.read() or b"{}")
        return found


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
