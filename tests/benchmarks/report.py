"""What was measured, beside what may be: the table and build/bench.json."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TARGET = Path("build/bench.json")
_BOUNDS = {"ingest_to_http": 8.0, "repeat": 2.5, "gzip": 1.0}
_ONE_MORE, _OF_ITS_OWN = 1.2, 7.0
"""A further destination in a format that is rendered already, and in one of its own."""
_RSS_BOUND_MIB = 150e6 / 2**20


@dataclass(frozen=True, slots=True)
class Line:
    """CPU time of an event, and the peak memory of the whole process."""

    us: float
    peak_rss_mib: float


def bound_of(name: str) -> float | None:
    """Return the most that a line may be, as a ratio to the floor; None where nothing is promised."""
    if name == "redacted" or (name.startswith("format_") and not name.endswith("_again")):
        return _OF_ITS_OWN
    if name == "second_destination" or name.startswith(("format_", "sink_")):
        return _ONE_MORE
    return _BOUNDS.get(name)


def report(floor: float, lines: Mapping[str, Line]) -> None:
    """Print the table and write the file."""
    print(f"floor (typed decode + encode): {floor:.2f} us per row")
    print(f"{'':26}{'us/event':>10}{'ratio':>8}{'bound':>8}{'peak RSS MiB':>14}")
    for name, line in lines.items():
        bound = bound_of(name)
        limit = "" if bound is None else f"{bound:.1f}"
        figures = f"{line.us:>10.2f}{line.us / floor:>8.2f}{limit:>8}{line.peak_rss_mib:>14.1f}"
        print(f"{name:26}{figures}  {', '.join(_beyond(line, floor, bound))}")
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps({"floor_us": round(floor, 3), "lines": _plain(floor, lines)}, indent=2) + "\n")


def _beyond(line: Line, floor: float, bound: float | None) -> Iterator[str]:
    if bound is not None and line.us / floor > bound:
        yield "beyond its bound"
    if line.peak_rss_mib > _RSS_BOUND_MIB:
        yield f"RSS beyond {_RSS_BOUND_MIB:.0f} MiB"


def _plain(floor: float, lines: Mapping[str, Line]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "us_per_event": round(line.us, 2),
            "ratio": round(line.us / floor, 2),
            "peak_rss_mib": round(line.peak_rss_mib, 1),
        }
        for name, line in lines.items()
    }
