"""What comes from the API: mail flow, coverage, queue."""

from scripts.dashboard.panels import ACCOUNT, GREEN, ORANGE, RATE, RED, Column, Graph, Look, Query, Row, Table, stored

_PER_MINUTE = Look(unit="cpm", decimals=1)
_FAILED_POLLS = f'mcwatch_polls_total{{{ACCOUNT}, outcome!="ok"}}'
_GOOD_POLLS = f'mcwatch_polls_total{{{ACCOUNT}, outcome="ok"}}'


def _top(inner: str) -> str:
    return f"topk(10, {inner})"


def _rows(kind: str) -> str:
    per_second = stored(f"rate(mcwatch_records_{kind}_total{{{ACCOUNT}}}{RATE})")
    return f"60 * sum({per_second})"


FLOW = Row(
    "Mail flow",
    [
        Graph(
            "Events by kind",
            "New events per minute. A kind that ends suddenly: look whether its source is down (queue.* comes from the "
            "processing queue, message.* from the message finder).",
            [Query(f"60 * sum by (kind) (rate(mcwatch_events_total{{{ACCOUNT}}}{RATE}))", "{{kind}}")],
            Look(unit="cpm", decimals=1, stacked=True),
        ),
        Graph(
            "Events by account, ten busiest",
            "New events per minute. A sudden rise is mail, or ids that change from poll to poll: see Coverage.",
            [Query(_top(f"60 * sum by (account) (rate(mcwatch_events_total{{{ACCOUNT}}}{RATE}))"), "{{account}}")],
            _PER_MINUTE,
        ),
        Graph(
            "Rows read from the API",
            "Rows per minute by what became of them. Duplicates are normal: each poll looks back. Undecodable rows are "
            "kept: `mcwatch dead-letters list`.",
            [
                Query(_rows("new"), "new"),
                Query(_rows("duplicate"), "duplicate"),
                Query(_rows("undecodable"), "undecodable"),
            ],
            Look(unit="cpm", decimals=1, stacked=True),
        ),
        Graph(
            "Polls that failed",
            "Share of the polls. A few are tried again without loss. Above a half for long: `mcwatch status` names the "
            "reason.",
            [
                Query(
                    f"(sum by (source) (rate({_FAILED_POLLS}{RATE}))"
                    f" or 0 * sum by (source) (rate({_GOOD_POLLS}{RATE})))"
                    f" / sum by (source) (rate(mcwatch_polls_total{{{ACCOUNT}}}{RATE}))",
                    "{{source}}",
                )
            ],
            Look(unit="percentunit", steps=((0.5, ORANGE),), high=1),
        ),
        Graph(
            "Duration of polls, 95th percentile",
            "A poll that takes longer than its interval delays the next one. Long ones: many domains, catching up, or "
            "waiting for the quota.",
            [
                Query(
                    "histogram_quantile(0.95, sum by (source, le)"
                    f" (rate(mcwatch_poll_duration_seconds_bucket{{{ACCOUNT}}}{RATE})))",
                    "{{source}}",
                )
            ],
            Look(unit="s"),
        ),
        Graph(
            "Time since the last complete poll, ten longest",
            "Should stay near the interval. It grows while a source is down or polling is paused.",
            [
                Query(
                    _top(
                        f"time() - max by (account, source) (mcwatch_poll_last_success_timestamp_seconds{{{ACCOUNT}}})"
                    ),
                    "{{account}} {{source}}",
                )
            ],
            Look(unit="s", steps=((1800, RED),)),
        ),
    ],
)

COVERAGE = Row(
    "Coverage of the message finder",
    [
        Graph(
            "Lag, ten longest",
            "Age of the oldest moment not read. It shrinks while mcwatch catches up after a stop. If it grows: is the "
            "source down, or the quota too small? Rejected mail leaves the API after 7 days.",
            [Query(_top(f"max by (account) (mcwatch_finder_lag_seconds{{{ACCOUNT}}})"), "{{account}}")],
            Look(unit="s", steps=((3600, ORANGE), (5 * 86400, RED))),
        ),
        Graph(
            "Newest mail read, ten longest ago",
            "Up to where every search has been read, as an age. It should stay near the interval.",
            [
                Query(
                    _top(f"time() - max by (account) (mcwatch_finder_coverage_end_timestamp_seconds{{{ACCOUNT}}})"),
                    "{{account}}",
                )
            ],
            Look(unit="s", steps=((3600, ORANGE),)),
        ),
        Graph(
            "Gaps found",
            "Search time that left the API's history before it was read, and time read too late for rejected mail. "
            "It cannot be read any more: see the log lines finder_gap and finder_rejected_gap.",
            [
                Query(f"sum(increase(mcwatch_finder_gap_seconds_total{{{ACCOUNT}}}{RATE}))", "gap"),
                Query(
                    f"sum(increase(mcwatch_finder_rejected_gap_seconds_total{{{ACCOUNT}}}{RATE}))", "gap of rejected"
                ),
            ],
            Look(unit="s", bars=True),
        ),
        Graph(
            "Windows that did not fit an answer",
            "Halved: normal when much mail comes. Incomplete: seconds of which the API does not show everything; "
            "narrow the searches.",
            [
                Query(f"sum(increase(mcwatch_finder_window_splits_total{{{ACCOUNT}}}{RATE}))", "halved"),
                Query(f"sum(increase(mcwatch_finder_incomplete_windows_total{{{ACCOUNT}}}{RATE}))", "incomplete"),
            ],
            Look(decimals=0, bars=True),
        ),
        Graph(
            "Rows that came with another id, ten most",
            "Per minute. More than a few: the tenant's ids do not last; set identity: content for that source.",
            [
                Query(
                    _top(f"60 * sum by (account) (rate(mcwatch_finder_reidentified_rows_total{{{ACCOUNT}}}{RATE}))"),
                    "{{account}}",
                )
            ],
            _PER_MINUTE,
        ),
        Table(
            "Accounts, those in trouble first",
            "The twenty with the lowest figure of each column's kind. `mcwatch status` has reason and remedy.",
            "account",
            [
                Column(
                    "Up",
                    Query(f"bottomk(20, min by (account) (mcwatch_account_up{{{ACCOUNT}}}))"),
                    Look(steps=((1, GREEN),), base=RED),
                ),
                Column(
                    "Finder lag",
                    Query(f"topk(20, max by (account) (mcwatch_finder_lag_seconds{{{ACCOUNT}}}))"),
                    Look(unit="s", steps=((3600, ORANGE),)),
                ),
                Column(
                    "Since last complete poll",
                    Query(
                        "topk(20, max by (account)"
                        f" (time() - mcwatch_poll_last_success_timestamp_seconds{{{ACCOUNT}}}))"
                    ),
                    Look(unit="s", steps=((1800, RED),)),
                ),
                Column(
                    "Unreadable rows kept",
                    Query(f"topk(20, max by (account) (mcwatch_undecodable_dead_letters{{{ACCOUNT}}}))"),
                    Look(steps=((1, ORANGE),)),
                ),
            ],
        ),
    ],
)

QUEUE = Row(
    "Processing queue",
    [
        Graph(
            "Messages in the queue",
            "As of the last complete snapshot of each account. A queue that grows and does not shrink: Mimecast or the "
            "next server behind it is slow; look at Mimecast's status page.",
            [Query(f"sum by (queue) (mcwatch_queue_depth{{{ACCOUNT}}})", "{{queue}}")],
            Look(decimals=0, stacked=True),
        ),
        Graph(
            "Messages by account, ten longest queues",
            "One account alone: look at its mail server or a campaign it sends. All at once: Mimecast.",
            [Query(_top(f"sum by (account) (mcwatch_queue_depth{{{ACCOUNT}}})"), "{{account}}")],
            Look(decimals=0),
        ),
        Graph(
            "Oldest message, ten oldest",
            "How long the oldest message has been in the queue. Find it in your SIEM: "
            "queue.entered without queue.left.",
            [
                Query(
                    _top(f"max by (account, queue) (mcwatch_queue_oldest_seconds{{{ACCOUNT}}})"),
                    "{{account}} {{queue}}",
                )
            ],
            Look(unit="s", steps=((3600, ORANGE),)),
        ),
        Graph(
            "Time in the queue",
            "Of messages that left. The median tells what is usual, the 95th percentile what users complain about.",
            [
                Query(
                    f"histogram_quantile({share}, sum by (le)"
                    f" (rate(mcwatch_queue_dwell_seconds_bucket{{{ACCOUNT}}}{RATE})))",
                    legend,
                )
                for share, legend in (("0.5", "median"), ("0.95", "95th percentile"))
            ],
            Look(unit="s"),
        ),
        Graph(
            "Snapshots not taken",
            "Because the backlog was full. Messages that passed the queue meanwhile are not seen in it; the finder "
            "still shows them. Bring the destination back.",
            [Query(f"sum(increase(mcwatch_queue_polls_skipped_total{{{ACCOUNT}}}{RATE}))", "skipped")],
            Look(decimals=0, bars=True),
        ),
    ],
)
