"""The whole dashboard as Grafana reads it from a file."""

import json

from scripts.dashboard.arriving import COVERAGE, FLOW, QUEUE
from scripts.dashboard.leaving import DELIVERY, PROCESS, QUOTA
from scripts.dashboard.overview import OVERVIEW
from scripts.dashboard.panels import DATASOURCE, Json, laid_out
from scripts.dashboard.replicas import REPLICAS

PATH = "deploy/grafana/dashboards/mcwatch.json"
_SCHEMA_VERSION = 39  # Grafana 11; newer ones bring it up to date by themselves


def render() -> str:
    """Return the file."""
    return json.dumps(_dashboard(), indent=2, ensure_ascii=False) + "\n"


def _dashboard() -> Json:
    return {
        "uid": "mcwatch",
        "title": "mcwatch",
        "description": "The mail flow that mcwatch reads from Mimecast and delivers. What to do: docs/RUNBOOK.md.",
        "tags": ["mcwatch", "mimecast"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "type": "datasource",
                    "name": "datasource",
                    "label": "Data source",
                    "query": "prometheus",
                    "multi": False,
                    "includeAll": False,
                },
                _variable("instance", "Instance", "label_values(mcwatch_build_info, instance)"),
                _variable("account", "Account", 'label_values(mcwatch_account_up{instance=~"$instance"}, account)'),
                _variable(
                    "destination",
                    "Destination",
                    'label_values(mcwatch_outbox_events{instance=~"$instance"}, destination)',
                ),
            ]
        },
        "panels": laid_out([OVERVIEW, FLOW, COVERAGE, QUEUE, DELIVERY, QUOTA, PROCESS, REPLICAS]),
    }


def _variable(name: str, label: str, query: str) -> Json:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # One short expression in place of a thousand names.
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }
