"""The database's own history of who held which account and who wrote what for it, kept by triggers of the test."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import NamedTuple, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import class_row

LifeOf = Callable[[int, float], str]
"""Tells which process made the connection that the database saw come from a port at a time."""

# Each note is made by the transaction that it tells of, so nothing that was undone is in it. A write's trigger looks at
# the lease row of that very moment: in READ COMMITTED each statement sees what is committed when it begins.
_WATCH = """
CREATE TABLE replica_history (at timestamptz, id uuid, name text, port int);
CREATE TABLE lease_history (n bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, port int,
  account_id bigint, holder uuid, epoch bigint, before uuid, silent_secs float8);
CREATE TABLE write_history (n bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, port int, session text,
  what text, account_id bigint, holder uuid, epoch bigint);

CREATE FUNCTION note_replica() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO replica_history VALUES (clock_timestamp(), NEW.id, NEW.name, inet_client_port());
  RETURN NULL;
END $$;

CREATE FUNCTION note_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO lease_history (at, port, account_id, holder, epoch, before, silent_secs)
  SELECT clock_timestamp(), inet_client_port(), NEW.account_id, NEW.holder, NEW.epoch, OLD.holder,
    (SELECT extract(epoch FROM clock_timestamp() - seen_at) FROM replica WHERE id = OLD.holder);
  RETURN NULL;
END $$;

CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE whose bigint; BEGIN
  IF TG_TABLE_NAME = 'cursor' THEN
    SELECT account_id INTO whose FROM feed WHERE id = NEW.feed_id;
  ELSE
    whose := NEW.account_id;
  END IF;
  INSERT INTO write_history (at, port, session, what, account_id, holder, epoch)
  SELECT clock_timestamp(), inet_client_port(), current_setting('application_name'), TG_TABLE_NAME, whose, holder, epoch
  FROM lease WHERE account_id = whose;
  RETURN NULL;
END $$;

CREATE TRIGGER watched AFTER INSERT ON replica FOR EACH ROW EXECUTE FUNCTION note_replica();
CREATE TRIGGER watched AFTER UPDATE ON lease FOR EACH ROW
  WHEN (OLD.holder IS DISTINCT FROM NEW.holder OR OLD.epoch <> NEW.epoch) EXECUTE FUNCTION note_lease();
CREATE TRIGGER watched AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION note_write();
CREATE TRIGGER watched AFTER UPDATE ON position FOR EACH ROW EXECUTE FUNCTION note_write();
CREATE TRIGGER watched AFTER INSERT OR UPDATE ON cursor FOR EACH ROW EXECUTE FUNCTION note_write();
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A lease got another holder or epoch. ``silent_secs``: how long the holder before had not been heard of."""

    at: float
    port: int
    account: str
    holder: UUID | None
    epoch: int
    before: UUID | None
    silent_secs: float | None


@dataclass(frozen=True, slots=True)
class Write:
    """A row written for an account, and what its lease said at that moment."""

    at: float
    port: int
    session: str
    what: str
    account: str
    holder: UUID | None
    epoch: int


NoteT = TypeVar("NoteT", Change, Write)


class Reign(NamedTuple):
    """A process held an account; times are the database's, in seconds since 1970."""

    life: str
    epoch: int
    since: float
    until: float


@dataclass
class LeaseHistory:
    """What the triggers have noted; ``life_of`` knows the processes by the ports that they came from.

    A replica that has not been heard of for ``lapse_secs`` holds nothing any more.
    """

    url: str
    life_of: LifeOf
    lapse_secs: float
    changes: Sequence[Change] = ()
    writes: Sequence[Write] = ()
    holders: dict[UUID, str] = field(default_factory=dict)
    """The process by the id that it has among the replicas."""

    def watch(self) -> None:
        """Make the triggers; the database has its schema, and no replica works on it yet."""
        with psycopg.connect(self.url) as connection:
            connection.execute(_WATCH.encode())

    def read(self) -> None:
        """Read what was noted so far."""
        with psycopg.connect(self.url) as connection:
            replicas = "SELECT id, port, extract(epoch FROM at)::float8 FROM replica_history"
            self.holders = {
                replica: self.life_of(port, at) for replica, port, at in connection.execute(replicas).fetchall()
            }
            with connection.cursor(row_factory=class_row(Change)) as changes:
                self.changes = changes.execute(
                    "SELECT extract(epoch FROM at)::float8 AS at, port, name AS account, holder, epoch, before,"
                    " silent_secs FROM lease_history h JOIN account a ON a.id = h.account_id ORDER BY n"
                ).fetchall()
            with connection.cursor(row_factory=class_row(Write)) as writes:
                self.writes = writes.execute(
                    "SELECT extract(epoch FROM at)::float8 AS at, port, session, what, name AS account, holder, epoch"
                    " FROM write_history h JOIN account a ON a.id = h.account_id ORDER BY n"
                ).fetchall()

    def shares(self) -> dict[str, int]:
        """Return how many accounts each process holds now; "" for nobody."""
        with psycopg.connect(self.url, connect_timeout=2) as connection:
            rows = connection.execute(
                "SELECT coalesce(port, 0), coalesce(extract(epoch FROM at)::float8, 0), count(*) FROM lease"
                " LEFT JOIN replica ON id = holder AND seen_at > clock_timestamp() - make_interval(secs => %s)"
                " LEFT JOIN replica_history USING (id) GROUP BY 1, 2",
                (self.lapse_secs,),
            ).fetchall()
        return {self.life_of(port, at): count for port, at, count in rows}

    def reigns(self) -> dict[str, list[Reign]]:
        """Return who held each account when, in order."""
        found: dict[str, list[Reign]] = {}
        for account, changes in _by_account(self.changes).items():
            ends = [change.at for change in changes[1:]]
            found[account] = [
                Reign(self.holders[change.holder], change.epoch, change.at, end)
                for change, end in zip(changes, [*ends, inf], strict=True)
                if change.holder is not None
            ]
        return found

    def assert_one_holder(self) -> None:
        """Check that every taking made the epoch greater, and took from nobody who had been heard of lately."""
        wrong: list[Change] = []
        for changes in _by_account(self.changes).values():
            epochs = [0, *(change.epoch for change in changes)]
            for change, (before, epoch) in zip(changes, pairwise(epochs), strict=True):
                taken = change.holder is not None
                robbed = taken and change.before not in {None, change.holder}
                lives = robbed and change.silent_secs is not None and change.silent_secs < self.lapse_secs
                if epoch != before + taken or lives:
                    wrong.append(change)
        assert not wrong, f"{len(wrong)} leases changed hands wrongly, the first: {wrong[0]}"

    def assert_written_by_holders(self) -> None:
        """Check that whoever wrote held the account at that moment, and never wrote after a later holder."""
        known = {(change.account, change.epoch): change.holder for change in self.changes if change.holder}
        wrong: list[str] = []
        for writes in _by_account(self.writes).values():
            epochs = [0, *(write.epoch for write in writes)]
            for write, (before, epoch) in zip(writes, pairwise(epochs), strict=True):
                holder = self.holders.get(write.holder) if write.holder else None
                writer = self.life_of(write.port, write.at)
                if holder != writer or known.get((write.account, epoch)) != write.holder or epoch < before:
                    wrong.append(f"{writer} wrote while {holder} held it (epoch {before} before): {write}")
        assert not wrong, f"{len(wrong)} of {len(self.writes)} writes, the first: {wrong[0]}"


def _by_account(rows: Iterable[NoteT]) -> dict[str, list[NoteT]]:
    found: dict[str, list[NoteT]] = {}
    for row in rows:
        found.setdefault(row.account, []).append(row)
    return found
