"""What goes to the destinations, what the API allows, and how the process is."""

from scripts.dashboard.panels import (
    ACCOUNT,
    DESTINATION,
    GREEN,
    INSTANCE,
    ORANGE,
    RATE,
    RED,
    Column,
    Graph,
    Look,
    Query,
    Row,
    Table,
    stored,
)

_PER_MINUTE = Look(unit="cpm", decimals=1)
_OURS = "and on (job, instance) mcwatch_build_info"
"""Every program has process metrics; these are mcwatch's."""


def _failed(metric: str, selector: str, label: str) -> str:
    """Return the share of failed requests, 0 where no failure was ever counted."""
    bad, good = (
        f"sum by ({label}) (rate({metric}{{{selector}, outcome{sign}}}{RATE}))" for sign in ('!="ok"', '="ok"')
    )
    return f"({bad} or 0 * {good}) / sum by ({label}) (rate({metric}{{{selector}}}{RATE}))"


def _by_destination(series: str) -> str:
    return f"sum by (destination) ({stored(series)})"


def _per_second(metric: str) -> str:
    return stored(f"rate({metric}{{{DESTINATION}}}{RATE})")


def _quantile(share: float, metric: str, selector: str, *labels: str) -> str:
    by = ", ".join((*labels, "le"))
    return f"histogram_quantile({share}, sum by ({by}) (rate({metric}_bucket{{{selector}}}{RATE})))"


DELIVERY = Row(
    "Delivery",
    [
        Table(
            "Destinations",
            "What holds now. `mcwatch status` has the reason and the remedy of one that is down.",
            "destination",
            [
                Column(
                    "Up",
                    Query(f"min by (destination) (mcwatch_destination_up{{{DESTINATION}}})"),
                    Look(steps=((1, GREEN),), base=RED),
                ),
                Column("Waiting events", Query(_by_destination(f"mcwatch_outbox_events{{{DESTINATION}}}"))),
                Column(
                    "Oldest waiting",
                    Query(f"max by (destination) (mcwatch_outbox_oldest_seconds{{{DESTINATION}}})"),
                    Look(unit="s", steps=((900, ORANGE), (3600, RED))),
                ),
                Column(
                    "Dead letters",
                    Query(_by_destination(f"mcwatch_dead_letters{{{DESTINATION}}}")),
                    Look(steps=((1, ORANGE),)),
                ),
                Column("Delivered", Query(_by_destination(f"mcwatch_events_delivered_total{{{DESTINATION}}}"))),
            ],
        ),
        Graph(
            "Delivered events",
            "Per minute. A line at 0 while others move: that destination is down.",
            [
                Query(
                    f"60 * sum by (destination) ({_per_second('mcwatch_events_delivered_total')})",
                    "{{destination}}",
                )
            ],
            _PER_MINUTE,
        ),
        Graph(
            "Waiting events",
            "They are kept, whatever their age, up to max_backlog. Growing: the destination is down or too slow.",
            [Query(_by_destination(f"mcwatch_outbox_events{{{DESTINATION}}}"), "{{destination}}")],
            Look(decimals=0),
        ),
        Graph(
            "Oldest waiting event",
            "How far behind each destination is.",
            [Query(f"max by (destination) (mcwatch_outbox_oldest_seconds{{{DESTINATION}}})", "{{destination}}")],
            Look(unit="s", steps=((3600, RED),)),
        ),
        Graph(
            "Latency, median and 99th percentile",
            "From observing an event to the receiver's acceptance. Rising: the receiver is slow; look at its own load.",
            [
                Query(
                    _quantile(share, "mcwatch_delivery_latency_seconds", DESTINATION, "destination"),
                    f"{{{{destination}}}} {legend}",
                )
                for share, legend in ((0.5, "median"), (0.99, "p99"))
            ],
            Look(unit="s"),
        ),
        Graph(
            "Batches that failed",
            "Share of the requests. They are sent again. For long above 0: the log names the receiver's words.",
            [Query(_failed("mcwatch_delivery_requests_total", DESTINATION, "destination"), "{{destination}}")],
            Look(unit="percentunit", steps=((0.5, ORANGE),), high=1),
        ),
        Graph(
            "Backlog",
            "Stored bytes that some destination has not received. At 90 % of the limit the finder rests, at the limit "
            "the queue is no longer read.",
            [
                Query(f"max by (instance) {stored(f'mcwatch_outbox_bytes{{{INSTANCE}}}')}", "waiting {{instance}}"),
                Query(f"max by (instance) {stored(f'mcwatch_outbox_limit_bytes{{{INSTANCE}}}')}", "limit {{instance}}"),
            ],
            Look(unit="bytes"),
        ),
        Graph(
            "Dead letters",
            "Kept for each destination, and rows that could not be read. `mcwatch dead-letters list`, then retry or "
            "discard.",
            [
                Query(_by_destination(f"mcwatch_dead_letters{{{DESTINATION}}}"), "{{destination}}"),
                Query(f"sum{stored(f'mcwatch_undecodable_dead_letters{{{ACCOUNT}}}')}", "unreadable rows"),
                Query(f"sum(increase(mcwatch_dead_letters_expired_total{{{INSTANCE}}}{RATE}))", "deleted unseen"),
            ],
            Look(decimals=0),
        ),
        Graph(
            "Not delivered as usual",
            "Events per minute: refused for good by reason, skipped while the backlog was full, sent again by retry or "
            "replay.",
            [
                Query(
                    f"60 * sum by (reason) ({_per_second('mcwatch_events_dead_lettered_total')})",
                    "refused: {{reason}}",
                ),
                Query(f"60 * sum({_per_second('mcwatch_events_skipped_total')})", "skipped"),
                Query(f"60 * sum(rate(mcwatch_events_resent_total{{{DESTINATION}}}{RATE}))", "sent again"),
            ],
            _PER_MINUTE,
        ),
    ],
)

QUOTA = Row(
    "API and its quota",
    [
        Graph(
            "Requests",
            "Per minute, retries included. What the configuration needs says `mcwatch check`.",
            [Query(f"60 * sum by (endpoint) (rate(mcwatch_api_requests_total{{{ACCOUNT}}}{RATE}))", "{{endpoint}}")],
            Look(unit="cpm", decimals=1, stacked=True),
        ),
        Graph(
            "Requests that failed",
            "Share by endpoint. throttled: the quota is too small. auth: the credential. server, timeout: Mimecast or "
            "the way there.",
            [Query(_failed("mcwatch_api_requests_total", ACCOUNT, "endpoint"), "{{endpoint}}")],
            Look(unit="percentunit", steps=((0.5, ORANGE),), high=1),
        ),
        Graph(
            "Quota left, ten lowest",
            "Share of the requests of the quota period, as the API last said. Again and again near 0: fewer domains, a "
            "longer interval, slower rescans.",
            [
                Query(
                    f"bottomk(10, min by (account, endpoint) (mcwatch_api_quota_remaining{{{ACCOUNT}}}"
                    " / (mcwatch_api_quota_limit > 0)))",
                    "{{account}} {{endpoint}}",
                )
            ],
            Look(unit="percentunit", high=1),
        ),
        Graph(
            "Time spent waiting for the quota, ten longest",
            "Seconds per second, over all requests that wait: quota, pacing, or a pause the API asked for. Above 1 "
            "requests queue up; raise max_requests_per_minute if the tenant's quota allows it.",
            [
                Query(
                    f"topk(10, sum by (account) (rate(mcwatch_api_throttled_seconds_total{{{ACCOUNT}}}{RATE})))",
                    "{{account}}",
                )
            ],
            Look(unit="s"),
        ),
        Graph(
            "Duration of requests, 95th percentile",
            "From sending to the end of the answer.",
            [
                Query(
                    _quantile(0.95, "mcwatch_api_request_duration_seconds", ACCOUNT, "endpoint"),
                    "{{endpoint}}",
                )
            ],
            Look(unit="s"),
        ),
        Graph(
            "Clock skew, ten largest",
            "How far the API's clock and this machine's are apart. It is corrected for; set the machine's clock all "
            "the same, other things rely on it.",
            [Query(f"topk(10, max by (account) (abs(mcwatch_api_clock_skew_seconds{{{ACCOUNT}}})))", "{{account}}")],
            Look(unit="s", steps=((60, ORANGE),)),
        ),
    ],
)

PROCESS = Row(
    "Process and store",
    [
        Graph(
            "CPU",
            "Share of one core. Near 1 for long: see docs/SIZING.md.",
            [Query(f"rate(process_cpu_seconds_total{{{INSTANCE}}}{RATE}) {_OURS}", "{{instance}}")],
            Look(unit="percentunit"),
        ),
        Graph(
            "Memory",
            "Resident memory. It does not grow with the backlog, which is on disk.",
            [Query(f"process_resident_memory_bytes{{{INSTANCE}}} {_OURS}", "{{instance}}")],
            Look(unit="bytes"),
        ),
        Graph(
            "Open files, share of the limit",
            "Sockets included. Near 1: raise the limit (LimitNOFILE=, ulimit -n).",
            [Query(f"process_open_fds{{{INSTANCE}}} / process_max_fds {_OURS}", "{{instance}}")],
            Look(unit="percentunit", steps=((0.8, ORANGE),), high=1),
        ),
        Graph(
            "Commits of the store, median and 99th percentile",
            "Time of a durable commit. Above a second the disk is too slow for the mail flow.",
            [
                Query(_quantile(share, "mcwatch_store_commit_duration_seconds", INSTANCE, "instance"), legend)
                for share, legend in ((0.5, "{{instance}} median"), (0.99, "{{instance}} p99"))
            ],
            Look(unit="s", steps=((1, ORANGE),)),
        ),
        Graph(
            "Store and its disk",
            "Size of the store, and what is free on its file system. When nothing is free, polling pauses.",
            [
                Query(f"max by (instance) {stored(f'mcwatch_store_bytes{{{INSTANCE}}}')}", "store {{instance}}"),
                Query(f"max by (instance) (mcwatch_store_disk_free_bytes{{{INSTANCE}}})", "free {{instance}}"),
            ],
            Look(unit="bytes"),
        ),
        Graph(
            "Time since the start",
            "Saws: it is restarted again and again; look at the end of its log.",
            [Query(f"time() - process_start_time_seconds{{{INSTANCE}}} {_OURS}", "{{instance}}")],
            Look(unit="s"),
        ),
        Table(
            "Instances",
            "What runs where. Configuration 0: a changed file was refused, the one before is in use.",
            "instance",
            [
                Column("Running", Query(f"max by (instance, version, python) (mcwatch_build_info{{{INSTANCE}}})")),
                Column(
                    "Configuration",
                    Query(f"min by (instance) (mcwatch_config_last_reload_successful{{{INSTANCE}}})"),
                    Look(steps=((1, GREEN),), base=RED),
                ),
                Column("Accounts", Query(f"count by (instance) (mcwatch_account_up{{{INSTANCE}}})")),
            ],
        ),
    ],
)
