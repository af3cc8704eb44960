"""What was measured, beside what may be: the table and build/bench.json."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.standing import Standing
from tests.benchmarks.stores import Compared

TARGET = Path("build/bench.json")
_BOUNDS = {"ingest_to_http": 8.0, "repeat": 2.5, "gzip": 1.0}
_ONE_MORE, _OF_ITS_OWN = 1.2, 7.0
"""A further destination in a format that is rendered already, and in one of its own."""
_RSS_BOUND_MIB = 150e6 / 2**20
_STANDING_CPU_BOUND = 0.25
_STANDING_RSS_BOUND_MIB = 300e6 / 2**20


@dataclass(frozen=True, slots=True)
class Apart:
    """What is no ratio to the floor: what stands still, and one store beside the other."""

    standings: Mapping[str, Standing]
    stores: Mapping[str, Compared]


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


def report(floor: float | None, lines: Mapping[str, Line], apart: Apart) -> None:
    """Print the tables and write the file; ``floor`` is None where it was not measured."""
    found: dict[str, object] = {}
    if floor is not None:
        _print_lines(floor, lines)
        found = {"floor_us": round(floor, 3)}
    for name, standing in apart.standings.items():
        _print_standing(name, standing)
    _print_stores(apart.stores)
    plain = _plain(floor or 1.0, lines)
    plain |= {name: _rounded(one) for name, one in apart.standings.items()}
    plain |= {name: _rounded(one) for name, one in apart.stores.items()}
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(found | {"lines": plain}, indent=2) + "\n")


def _print_lines(floor: float, lines: Mapping[str, Line]) -> None:
    print(f"floor (typed decode + encode): {floor:.2f} us per row")
    print(f"{'':26}{'us/event':>10}{'ratio':>8}{'bound':>8}{'peak RSS MiB':>14}")
    for name, line in lines.items():
        bound = bound_of(name)
        limit = "" if bound is None else f"{bound:.1f}"
        figures = f"{line.us:>10.2f}{line.us / floor:>8.2f}{limit:>8}{line.peak_rss_mib:>14.1f}"
        print(f"{name:26}{figures}  {', '.join(_beyond(line, floor, bound))}")


def _print_standing(name: str, one: Standing) -> None:
    print(f"{'':26}{'CPU share':>10}{'bound':>8}{'peak RSS MiB':>14}{'bound':>8}{'connections':>13}{'scrape':>20}")
    figures = (
        f"{one.cpu_share:>10.1%}{_STANDING_CPU_BOUND:>8.0%}{one.peak_rss_mib:>14.1f}{_STANDING_RSS_BOUND_MIB:>8.0f}"
    )
    scrape = f"{one.scrape_mb:.1f} MB, {one.scrape_cpu_secs:.2f} s CPU"
    print(f"{name:26}{figures}{one.connections:>13}{scrape:>20}  {', '.join(_too_much(one))}")


def _too_much(one: Standing) -> Iterator[str]:
    if one.cpu_share > _STANDING_CPU_BOUND:
        yield "beyond its bound"
    if one.peak_rss_mib > _STANDING_RSS_BOUND_MIB:
        yield f"RSS beyond {_STANDING_RSS_BOUND_MIB:.0f} MiB"


def _print_stores(stores: Mapping[str, Compared]) -> None:
    if stores:
        print(
            f"{'PostgreSQL beside SQLite':26}{'events/s':>10}{'SQLite':>10}{'ratio':>8}{'us CPU/event':>14}{'ratio':>8}"
        )
    for name, one in stores.items():
        rates = f"{one.per_second:>10,.0f}{one.sqlite_per_second:>10,.0f}{one.throughput_ratio:>8.2f}"
        print(f"{name:26}{rates}{one.cpu_us_per_event:>14.2f}{one.cpu_ratio:>8.2f}")


def _rounded(one: Standing | Compared) -> dict[str, float]:
    return {name: round(value, 3) for name, value in asdict(one).items()}


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
