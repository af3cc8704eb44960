"""Replicas and leases in the database, whose clock is the only one that counts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.types.json import Jsonb

from mcwatch.domain.leasing import Budget, Fleet, Lease, News, Replica
from mcwatch.store.postgres.connection import Connection

_BEAT = """
INSERT INTO replica (id, name, version, accounts, destinations, report)
VALUES (%(id)s, %(name)s, %(version)s, %(accounts)s, %(destinations)s, coalesce(%(report)s, ''::bytea))
ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), accounts = excluded.accounts,
  destinations = excluded.destinations, report = coalesce(%(report)s, replica.report)
"""

# A lease that a page locks right now keeps its older budget until the next beat, which comes before anyone may need it.
# Most accounts are forbidden nothing, then as now: their rows are not written.
_KEEP_BUDGETS = """
WITH told AS (
  SELECT * FROM unnest(%(accounts)s::bigint[], %(budgets)s::jsonb[]) AS told (account_id, budget)
), free AS (
  SELECT account_id FROM lease WHERE account_id = ANY(%(accounts)s) AND holder = %(id)s
  ORDER BY account_id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE lease SET budget = told.budget, budget_at = clock_timestamp()
FROM told JOIN free USING (account_id)
WHERE lease.account_id = told.account_id AND (told.budget <> '{}' OR lease.budget <> '{}')
"""

_FORGET_REPLICAS = """
DELETE FROM replica WHERE id IN
  (SELECT id FROM replica WHERE seen_at < clock_timestamp() - interval '1 day' FOR UPDATE SKIP LOCKED)
"""

_REPLICAS = """
SELECT id, name, version, started_at, extract(epoch FROM clock_timestamp() - seen_at)::float8,
       seen_at > clock_timestamp() - make_interval(secs => %(lapse)s), accounts, CASE WHEN %(reports)s THEN report END
FROM replica ORDER BY started_at, id
"""

# An account whose holder is not heard of any more is held by nobody since that holder lapsed.
_LEASES = """
SELECT l.account_id, a.name, CASE WHEN r.is_live THEN l.holder END, l.epoch,
       extract(epoch FROM clock_timestamp() -
         CASE WHEN NOT r.is_live THEN greatest(l.since, r.lapsed_at) ELSE l.since END)::float8
FROM lease l JOIN account a ON a.id = l.account_id
LEFT JOIN (SELECT id, seen_at + make_interval(secs => %(lapse)s) AS lapsed_at,
                  seen_at > clock_timestamp() - make_interval(secs => %(lapse)s) AS is_live FROM replica) r
  ON r.id = l.holder
ORDER BY l.account_id
"""

# First the rows, then who of their holders lives, each as of its own moment: whoever came first is seen.
_LOCK_FREE = """
SELECT account_id, holder FROM lease WHERE account_id = ANY(%s) ORDER BY account_id FOR NO KEY UPDATE SKIP LOCKED
"""
_LIVE = "SELECT id FROM replica WHERE seen_at > clock_timestamp() - make_interval(secs => %s)"
_TAKE = """
UPDATE lease SET holder = %s, epoch = epoch + 1, since = clock_timestamp() WHERE account_id = ANY(%s)
RETURNING account_id, epoch, budget, extract(epoch FROM clock_timestamp() - budget_at)::float8
"""

_LOCK_HELD = "SELECT account_id FROM lease WHERE account_id = ANY(%s) AND holder = %s ORDER BY account_id FOR UPDATE"
_GIVE_UP = """
UPDATE lease SET holder = NULL, since = clock_timestamp(), budget = told.budget, budget_at = clock_timestamp()
FROM unnest(%(accounts)s::bigint[], %(budgets)s::jsonb[]) AS told (account_id, budget)
WHERE lease.account_id = told.account_id AND holder = %(id)s
"""
_LOCK_ALL_HELD = "SELECT account_id FROM lease WHERE holder = %s ORDER BY account_id FOR UPDATE"
_FENCE = """
SELECT account_id, epoch FROM lease WHERE account_id = ANY(%s) AND holder = %s ORDER BY account_id FOR SHARE
"""


@dataclass(frozen=True, slots=True)
class Me:
    """What a replica says of itself; ``destinations`` are the names of those it is configured with."""

    id: UUID
    name: str
    version: str
    destinations: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """A lease that was got, and what is left of what its last holder kept of the account's request budget."""

    account_id: int
    epoch: int
    budget: Budget


def beat(connection: Connection, me: Me, news: News, lapse_secs: float, *, with_reports: bool = True) -> Fleet:
    """Say that a replica lives, keep what it tells, and return all replicas and leases; see :func:`fleet_of`."""
    given = {"id": me.id, "name": me.name, "version": me.version, "report": news.report}
    connection.execute(_BEAT, {**given, "accounts": sorted(news.accounts), "destinations": sorted(me.destinations)})
    if news.budgets:
        connection.execute(_KEEP_BUDGETS, {"id": me.id, **_columns(news.budgets)})
    connection.execute(_FORGET_REPLICAS)
    return fleet_of(connection, lapse_secs, with_reports=with_reports)


def _columns(budgets: Mapping[int, Budget]) -> dict[str, object]:
    return {"accounts": list(budgets), "budgets": [Jsonb(dict(budget)) for budget in budgets.values()]}


def fleet_of(connection: Connection, lapse_secs: float, *, with_reports: bool = True) -> Fleet:
    """Return all replicas and leases; reports are large, of a thousand accounts more than a megabyte."""
    given = {"lapse": lapse_secs, "reports": with_reports}
    replicas = [
        Replica(id_, name, version, started_at, silent_secs, is_live, frozenset(accounts), bytes(report or b""))
        for id_, name, version, started_at, silent_secs, is_live, accounts, report in connection.execute(
            _REPLICAS, given
        )
    ]
    leases = [Lease(*row) for row in connection.execute(_LEASES, given)]
    return Fleet(replicas, leases)


def take(connection: Connection, me: UUID, account_ids: Collection[int], lapse_secs: float) -> Sequence[Taken]:
    """Take the leases of these accounts that nobody holds, or nobody who is heard of; wait for nobody."""
    rows = connection.execute(_LOCK_FREE, (sorted(account_ids),)).fetchall()
    live = {id_ for (id_,) in connection.execute(_LIVE, (lapse_secs,))}
    free = [account_id for account_id, holder in rows if holder not in live]
    if not free:
        return []
    return [
        Taken(account_id, epoch, {name: secs - age_secs for name, secs in budget.items() if secs > age_secs})
        for account_id, epoch, budget, age_secs in connection.execute(_TAKE, (me, free))
    ]


def give_up(connection: Connection, me: UUID, budgets: Mapping[int, Budget]) -> int:
    """Free the leases of these accounts, which waits for the pages under way; return how many there were."""
    connection.execute(_LOCK_HELD, (list(budgets), me))
    return connection.execute(_GIVE_UP, {"id": me, **_columns(budgets)}).rowcount


def leave(connection: Connection, me: UUID) -> None:
    """Free all leases of a replica and forget it."""
    connection.execute(_LOCK_ALL_HELD, (me,))
    connection.execute("UPDATE lease SET holder = NULL, since = clock_timestamp() WHERE holder = %s", (me,))
    connection.execute("DELETE FROM replica WHERE id = %s", (me,))


def locked_epochs(connection: Connection, me: UUID, account_ids: Sequence[int]) -> dict[int, int]:
    """Lock the leases that a replica holds of these accounts against being taken; return their epochs."""
    return dict(connection.execute(_FENCE, (list(account_ids), me)).fetchall())


def heads(connection: Connection, account_ids: Collection[int]) -> dict[int, int]:
    """Return the offsets behind the newest events of these accounts."""
    rows = connection.execute("SELECT id, head FROM account WHERE id = ANY(%s)", (list(account_ids),))
    return dict(rows.fetchall())
