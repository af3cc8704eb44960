"""How replicas share the accounts. With a store of one process there is one replica, and nothing moves."""

from scripts.dashboard.panels import ACCOUNT, INSTANCE, ORANGE, RATE, RED, Graph, Look, Query, Row

_NONE = "or vector(0)"
"""What a process with a store of its own does not show."""
_BEAT = f"mcwatch_lease_last_beat_timestamp_seconds{{{INSTANCE}}}"
_MOVED = (("taken", "leases_taken"), ("handed over", "leases_handed_over"), ("lost", "leases_lost"))

REPLICAS = Row(
    "Replicas",
    [
        Graph(
            "Accounts per replica",
            "How many accounts each replica holds. They differ by one at most, a minute after a replica came or went; "
            "a replica that holds none does not reach the database, or lacks their configuration.",
            [Query(f"count by (instance) (mcwatch_account_held{{{ACCOUNT}}} == 1)", "{{instance}}")],
            Look(decimals=0, stacked=True),
        ),
        Graph(
            "Live replicas",
            "How many replicas each of them sees. Lines apart: one does not reach the database.",
            [Query(f"mcwatch_replicas{{{INSTANCE}}}", "{{instance}}")],
            Look(decimals=0),
        ),
        Graph(
            "Accounts that moved",
            "Taken and handed over: replicas came or went. Lost: a replica was stopped, cut off or overloaded for "
            "longer than its lease; see McwatchLeasesLost in docs/RUNBOOK.md.",
            [Query(f"sum(increase(mcwatch_{name}_total{{{INSTANCE}}}{RATE}))", legend) for legend, name in _MOVED],
            Look(decimals=0, bars=True),
        ),
        Graph(
            "Accounts held by nobody",
            "For seconds after a replica died: right. For longer: no live replica is configured with them.",
            [
                Query(
                    f"count(max by (account) (mcwatch_account_unheld_seconds{{{ACCOUNT}}}) > 0) {_NONE}",
                    "accounts",
                )
            ],
            Look(decimals=0, steps=((1, ORANGE),)),
        ),
        Graph(
            "Longest without a holder",
            "Nothing of these accounts is read or delivered meanwhile. It should stay below the duration of the lease.",
            [Query(f"max(mcwatch_account_unheld_seconds{{{ACCOUNT}}}) {_NONE}", "longest")],
            Look(unit="s", steps=((60, RED),)),
        ),
        Graph(
            "Since the last beat",
            "How long ago each replica renewed its leases, by its own clock; a tenth of the lease and the time between "
            "two scrapes are usual. A replica that is late holds nothing.",
            [Query(f"(time() - {_BEAT}) * ({_BEAT} > bool 0)", "{{instance}}")],
            Look(unit="s", steps=((120, ORANGE),)),
        ),
    ],
)
