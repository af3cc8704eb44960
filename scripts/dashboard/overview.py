"""The first row: is all well, and if not, where to look."""

from scripts.dashboard.panels import ACCOUNT, DESTINATION, INSTANCE, ORANGE, RED, Look, Query, Row, Stat, stored

_ANY_IS_BAD = Look(steps=((1, RED),), decimals=0)
_ANY_IS_ODD = Look(steps=((1, ORANGE),), decimals=0)
_ROWS_LEFT = stored(
    f"abs(mcwatch_records_received_total{{{ACCOUNT}}} - mcwatch_records_new_total"
    " - mcwatch_records_duplicate_total - mcwatch_records_undecodable_total)"
)
_EVENTS_LEFT = stored(
    f"abs(mcwatch_outbox_offered_events_total{{{DESTINATION}}} - mcwatch_events_delivered_total"
    " - sum without (reason) (mcwatch_events_dead_lettered_total) - mcwatch_events_not_selected_total"
    " - mcwatch_events_skipped_total - mcwatch_outbox_events)"
)
_LETTERS = stored(f"mcwatch_dead_letters{{{DESTINATION}}}")
_ROWS_KEPT = stored(f"mcwatch_undecodable_dead_letters{{{ACCOUNT}}}")

OVERVIEW = Row(
    "Overview",
    width=4,
    height=4,
    panels=[
        Stat(
            "Alerts firing",
            "Alerts of mcwatch that fire now, over all instances. Each has an entry in docs/RUNBOOK.md. 0 also when "
            "the rules are not loaded.",
            Query('count(ALERTS{alertname=~"Mcwatch.+", alertstate="firing"}) or vector(0)'),
            _ANY_IS_BAD,
        ),
        Stat(
            "Accounts down",
            "Accounts of which nothing can be read. `mcwatch status` names the reason and the remedy. "
            "Just after the start: those not tried yet.",
            Query(f"count(mcwatch_account_up{{{ACCOUNT}}} == 0) or vector(0)"),
            _ANY_IS_BAD,
        ),
        Stat(
            "Sources down",
            "Feeds whose last poll failed. One poll may fail; look at `mcwatch status` when it stays.",
            Query(f"count(mcwatch_source_up{{{ACCOUNT}}} == 0) or vector(0)"),
            _ANY_IS_ODD,
        ),
        Stat(
            "Destinations down",
            "Destinations that take nothing, from one replica at least. Their events wait in the store; "
            "`mcwatch status` names the reason.",
            Query(f"count(min by (job, destination) (mcwatch_destination_up{{{DESTINATION}}}) == 0) or vector(0)"),
            _ANY_IS_BAD,
        ),
        Stat(
            "Polling paused",
            "1 while the backlog is full or the store takes no writes: nothing new is read. "
            "Bring the destination back, or make room on the disk.",
            Query(f"max(mcwatch_polling_paused{{{INSTANCE}}})"),
            _ANY_IS_BAD,
        ),
        Stat(
            "Unaccounted for",
            "Rows and events missing from the two sums that must hold: received = new + duplicate + undecodable, and "
            "offered = delivered + dead + not selected + skipped + waiting. Anything but 0 is a defect: report it.",
            Query(f"sum({_ROWS_LEFT}) + sum({_EVENTS_LEFT})"),
            _ANY_IS_BAD,
        ),
        Stat(
            "Events per minute",
            "New events recorded. 0 at night may be right; 0 on a working day is a reason to look at coverage below.",
            Query(f"60 * sum(rate(mcwatch_events_total{{{ACCOUNT}}}[5m]))"),
            Look(unit="cpm", decimals=1),
        ),
        Stat(
            "Finder lag, worst",
            "Age of the oldest moment that no account's message finder has been read for. It should stay below a few "
            "minutes, and shrink after a stop. Unknown until the first poll.",
            Query(f"max(mcwatch_finder_lag_seconds{{{ACCOUNT}}})"),
            Look(unit="s", steps=((3600, ORANGE), (5 * 86400, RED)), decimals=0),
        ),
        Stat(
            "Lost to gaps",
            "Search time that left the API's history before it was read, in the time shown. It is lost to mcwatch; "
            "the log line finder_gap names the range.",
            Query(f"sum(increase(mcwatch_finder_gap_seconds_total{{{ACCOUNT}}}[$__range]))"),
            Look(unit="s", steps=((1, RED),), decimals=0),
        ),
        Stat(
            "Oldest undelivered",
            "How long the oldest waiting event of any destination has waited. Above a few minutes a destination is "
            "slow or down: see Delivery.",
            Query(f"max(mcwatch_outbox_oldest_seconds{{{DESTINATION}}})"),
            Look(unit="s", steps=((900, ORANGE), (3600, RED)), decimals=0),
        ),
        Stat(
            "Backlog used",
            "Undelivered bytes as a share of max_backlog. At 90 % the finder rests, at 100 % the queue is not read.",
            Query(f"max(mcwatch_outbox_bytes{{{INSTANCE}}} / (mcwatch_outbox_limit_bytes > 0))"),
            Look(unit="percentunit", steps=((0.5, ORANGE), (0.8, RED)), decimals=1, high=1),
        ),
        Stat(
            "Dead letters",
            "Events finally refused and rows that could not be read, kept for a decision: `mcwatch dead-letters list`.",
            Query(f"sum({_LETTERS}) + sum({_ROWS_KEPT})"),
            _ANY_IS_ODD,
        ),
    ],
)
