"""The kinds of panel, and how they are laid out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
"""Columns of Grafana's grid."""

GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"

INSTANCE = 'instance=~"$instance"'
ACCOUNT = f'{INSTANCE}, account=~"$account"'
DESTINATION = f'{INSTANCE}, destination=~"$destination"'
RATE = "[$__rate_interval]"

_SHARING = "on (job, instance) (mcwatch_lease_last_beat_timestamp_seconds > 0)"
"""Instances that share their store with others."""


def stored(series: str) -> str:
    """Return a figure of the store, once for all replicas that share it: each of them shows the same."""
    return f"({series} unless {_SHARING} or max without (instance, pod) ({series} and {_SHARING}))"


Steps = tuple[tuple[float, str], ...]
"""Thresholds: from this value on, this colour."""


@dataclass(frozen=True, slots=True)
class Query:
    """An expression and how its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How values look; ``unit`` is Grafana's id of a unit."""

    unit: str = "short"
    steps: Steps = ()
    base: str = GREEN
    """The colour below the first threshold."""
    decimals: int | None = None
    low: float | None = 0
    high: float | None = None
    stacked: bool = False
    bars: bool = False


@dataclass(frozen=True, slots=True)
class Stat:
    """One number, coloured by its thresholds."""

    title: str
    description: str
    query: Query
    look: Look = field(default_factory=Look)

    def json(self) -> Json:
        """Return the panel without id and position."""
        return {
            "type": "stat",
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "targets": [_target(self.query, 0, instant=True)],
            "fieldConfig": {"defaults": _defaults(self.look, "thresholds"), "overrides": []},
            "options": {
                "colorMode": "background_solid" if self.look.steps else "value",
                "graphMode": "none",
                "justifyMode": "center",
                "orientation": "auto",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "textMode": "value",
                "wideLayout": True,
            },
        }


@dataclass(frozen=True, slots=True)
class Graph:
    """Lines over time."""

    title: str
    description: str
    queries: Sequence[Query]
    look: Look = field(default_factory=Look)

    def json(self) -> Json:
        """Return the panel without id and position."""
        look = self.look
        custom = {
            "drawStyle": "bars" if look.bars else "line",
            "lineInterpolation": "linear",
            "lineWidth": 1,
            "fillOpacity": 60 if look.bars else (25 if look.stacked else 8),
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if look.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if look.steps else "off"},
        }
        return {
            "type": "timeseries",
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "targets": [_target(query, number) for number, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": _defaults(look, "palette-classic") | {"custom": custom}, "overrides": []},
            "options": {
                "legend": {
                    "calcs": ["lastNotNull", "max"],
                    "displayMode": "table",
                    "placement": "bottom",
                    "showLegend": True,
                },
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
        }


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: one query, whose series meet those of the others in the table's label."""

    name: str
    query: Query
    look: Look = field(default_factory=Look)


@dataclass(frozen=True, slots=True)
class Table:
    """What holds now, a line per value of a label."""

    title: str
    description: str
    label: str
    columns: Sequence[Column]

    def json(self) -> Json:
        """Return the panel without id and position."""
        letters = [_letter(number) for number in range(len(self.columns))]
        names = {f"Value #{letter}": column.name for letter, column in zip(letters, self.columns, strict=True)}
        return {
            "type": "table",
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "targets": [
                _target(column.query, number, instant=True) | {"format": "table"}
                for number, column in enumerate(self.columns)
            ],
            "transformations": [
                {"id": "joinByField", "options": {"byField": self.label, "mode": "outer"}},
                {
                    "id": "organize",
                    "options": {
                        "excludeByName": {"Time": True}
                        | {f"Time {number + 1}": True for number in range(len(letters))},
                        "renameByName": names,
                    },
                },
            ],
            "fieldConfig": {
                "defaults": {"custom": {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}},
                "overrides": [_column(column) for column in self.columns],
            },
            "options": {"cellHeight": "sm", "showHeader": True},
        }


Panel = Stat | Graph | Table


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, each ``width`` columns wide and ``height`` units high."""

    title: str
    panels: Sequence[Panel]
    width: int = 8
    height: int = 8


def laid_out(rows: Sequence[Row]) -> list[Json]:
    """Return all panels with ids and positions, the headings among them."""
    panels: list[Json] = []
    top = 0
    for row in rows:
        panels.append(_placed({"type": "row", "title": row.title, "collapsed": False, "panels": []}, panels, 0, top))
        top += 1
        left = 0
        for panel in row.panels:
            width = WIDTH if isinstance(panel, Table) else row.width
            if left + width > WIDTH:
                left, top = 0, top + row.height
            place = _placed(panel.json(), panels, left, top)
            panels.append(place | {"gridPos": {"h": row.height, "w": width, "x": left, "y": top}})
            left += width
        top += row.height
    return panels


def _placed(panel: Json, before: Sequence[Json], left: int, top: int) -> Json:
    return {"id": len(before) + 1, **panel, "gridPos": {"h": 1, "w": WIDTH, "x": left, "y": top}}


def _target(query: Query, number: int, *, instant: bool = False) -> Json:
    return {
        "refId": _letter(number),
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": instant,
        "range": not instant,
        "editorMode": "code",
    }


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _defaults(look: Look, colour: str) -> Json:
    steps: list[Json] = [{"color": look.base if look.steps else BLUE, "value": None}]
    steps += [{"color": name, "value": value} for value, name in look.steps]
    found: Json = {
        "unit": look.unit,
        "color": {"mode": colour},
        "thresholds": {"mode": "absolute", "steps": steps},
        "decimals": look.decimals,
        "min": look.low,
        "max": look.high,
    }
    return {name: value for name, value in found.items() if value is not None}


def _column(column: Column) -> Json:
    look = column.look
    properties: list[Json] = [{"id": "unit", "value": look.unit}]
    if look.steps:
        properties += [
            {"id": "thresholds", "value": _defaults(look, "thresholds")["thresholds"]},
            {"id": "custom.cellOptions", "value": {"type": "color-text"}},
        ]
    return {"matcher": {"id": "byName", "options": column.name}, "properties": properties}
