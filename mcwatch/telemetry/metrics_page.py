"""The page of the documentation that lists every metric."""

from collections.abc import Iterable

from mcwatch.telemetry.metric_info import MetricInfo
from mcwatch.telemetry.metrics import ALL_OUTCOMES_UP_TO, OUTCOMES, Metrics
from mcwatch.telemetry.store_metrics import STORED_METRICS

_INTRODUCTION = """\
# Metrics

Generated from the code by `make docs`; do not edit. `/metrics` answers in OpenMetrics 1.0 or in the Prometheus text
format, as the `Accept` header asks. Labels hold names from the configuration and values from closed sets, never mail.

`outcome` is `ok` or the reason of the failure:
{reasons}.

Series exist from the start, at zero, with these exceptions: what is not known yet (quota, skew, lag, depth, times), the
histograms of an account, and beyond {many} accounts the failures of an account, which begin with the first.

With more than {many} accounts at the start of the process the durations of an account (`api_request_duration_seconds`,
`poll_duration_seconds`) have count and sum and no buckets, and requests of an endpoint begin with its first. So a
scrape of 1,000 accounts, two sources each and names of a dozen characters, stays below 5 MB of text; compressed, as
Prometheus asks for it, it is a twentieth of that.
"""


def metrics_page() -> str:
    """Return the page as Markdown."""
    metrics = Metrics()
    reasons = ", ".join(f"`{outcome}`" for outcome in OUTCOMES[1:])
    return "\n".join(
        [
            _INTRODUCTION.format(reasons=reasons, many=ALL_OUTCOMES_UP_TO),
            "## Of the running process",
            "",
            "These start at zero with the process. The usual `process_…` and `python_gc_…` metrics are there as well.",
            "",
            *_rows(metrics.infos),
            "",
            "## From the store",
            "",
            "These change in the transaction they speak of, are read in one snapshot, and survive restarts.",
            "",
            *_rows(metric.info for metric in STORED_METRICS),
            "",
        ]
    )


def _rows(infos: Iterable[MetricInfo]) -> list[str]:
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{info.name}` | {info.kind} | {', '.join(f'`{label}`' for label in info.labels)} | {info.meaning} |"
        for info in infos
    ]
    return rows
