"""A thread that writes: whatever waits is committed together, each piece of work undone alone when it fails.

What a transaction may write is proved in it: the leases of all accounts it touches are locked first, in one statement
and in order, which keeps writers of one process from locking each other out.
"""

from collections.abc import Callable, Collection
from itertools import chain

import psycopg

from mcwatch.domain.errors import LeaseLost, McwatchError, StoreCorrupt, StoreUnavailable
from mcwatch.store.postgres.connection import Connection
from mcwatch.store.postgres.errors import OutcomeUnknown, StoreContended, StoreReadOnly
from mcwatch.store.postgres.link import Link
from mcwatch.store.postgres.worker import Job, Worker, undo

Fence = Callable[[Connection, Collection[int]], Collection[int]]
"""Locks the leases of accounts and returns the ids of those that are held."""

_BEGIN = "BEGIN; SELECT pg_current_xact_id()::text"

# A commit that waits for a synchronous standby must not be given up half-way: the server would call it committed though
# the standby has it not. So it has no time limit of its own; a server that stays silent is cut off, and then asked.
_COMMIT = "SET LOCAL statement_timeout = 0; COMMIT"

_REDO_SECS = 5.0
_ASKS = 40
_ASK_SECS = 0.25


class Writer(Worker):
    """Runs work in transactions of the thread's own.

    Work that waits shares one commit, since a commit costs an fsync and some round trips. ``observe`` is called with
    the seconds that each commit took.
    """

    def __init__(
        self,
        name: str,
        link: Link,
        place: str,
        *,
        fence: Fence,
        observe: Callable[[float], None],
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(name, link, place)
        self._fence = fence
        self._observe = observe
        self._monotonic = monotonic
        self._broken: StoreCorrupt | None = None
        """Set for good once the store cannot be trusted."""

    def do(self, jobs: list[Job]) -> None:
        """Commit what may go together, then each that failed for another's sake, then each that goes alone."""
        together = [job for job in jobs if not job.alone]
        if together:
            self._commit(together)
            self._one_by_one(together)
        for job in jobs:
            if job.alone:
                self._commit([job])
                if isinstance(job.error, StoreContended):
                    self._commit([job])

    def _one_by_one(self, group: list[Job]) -> None:
        """Give each work a transaction of its own, so that only the one at fault fails.

        Not where the server is away, nor for longer than others can wait: then all have failed as the group did.
        """
        started = self._monotonic()
        for job in group:
            contended = isinstance(job.error, StoreContended)
            faulty = len(group) > 1 and not isinstance(job.error, StoreUnavailable | LeaseLost)
            if job.error is None or not (contended or faulty):
                continue
            if self._monotonic() - started > _REDO_SECS:
                break
            self._commit([job])

    def _commit(self, group: list[Job]) -> None:
        """Do all work in one transaction; a failure undoes and marks the whole group."""
        started = self._monotonic()
        for job in group:
            job.error = None
        try:
            self._transact(group)
        except BaseException as error:  # noqa: BLE001 - every failure belongs to whoever asked for the work
            meaning = self.meaning(error)
            if isinstance(meaning, StoreCorrupt):
                self._broken = meaning
            if isinstance(meaning, StoreReadOnly):
                # After a fail-over the next connection may lead to the server that has taken over.
                self.link.close()
            for job in group:
                job.error = meaning
        else:
            self._observe(self._monotonic() - started)

    def _transact(self, group: list[Job]) -> None:
        if self._broken is not None:
            raise self._broken
        connection, number = self._begin()
        try:
            accounts = sorted(set(chain.from_iterable(job.accounts for job in group)))
            held = frozenset(self._fence(connection, accounts) if accounts else ())
            for job in group:
                self.link.begins()
                self._do_one(connection, job, held)
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS:
                raise McwatchError("a failed statement was passed over: a defect in mcwatch")
        except BaseException:
            undo(connection)
            raise
        self._finish(connection, number)

    @staticmethod
    def _do_one(connection: Connection, job: Job, held: frozenset[int]) -> None:
        if job.work is None:
            return
        try:
            job.result = job.work(connection, job.accounts & held)
        except LeaseLost as lost:
            # Raised before anything is written; the others of the group have nothing to do with it.
            job.error = lost

    def _begin(self) -> tuple[Connection, str]:
        """Begin a transaction and return its number; on a new connection where the server has closed the last one."""
        self.link.begins()
        connection = self.link.connection()
        try:
            return connection, _number(connection)
        except psycopg.Error:
            if not connection.closed:
                raise
        connection = self.link.connection()
        return connection, _number(connection)

    def _finish(self, connection: Connection, number: str) -> None:
        timeline = self.link.timeline
        self.link.begins()
        try:
            cursor = connection.execute(_COMMIT)
            cursor.nextset()
        except psycopg.Error as error:
            if not connection.closed:
                undo(connection)
                raise
            if not self._was_committed(number, timeline):
                raise StoreUnavailable(
                    f"the connection to the store ({self._place}) broke before a commit, which was not made"
                ) from error
            return
        if cursor.statusmessage != "COMMIT":
            raise McwatchError(f"a commit became a {cursor.statusmessage}: a defect in mcwatch")

    def _was_committed(self, number: str, timeline: str) -> bool:
        """Find out on a new connection how a transaction ended; raises OutcomeUnknown when nobody can tell.

        One that is still under way is either cut off before its commit arrived, and ended by the server soon
        (idle_in_transaction_session_timeout), or waits for a standby. Another timeline is another server's history,
        where the same number may be another transaction.
        """
        for _ in range(_ASKS):
            status = self._status(number, timeline)
            if status in {"committed", "aborted"}:
                return status == "committed"
            if status != "in progress":
                break
            self.link.begins()
            self.link.pause(_ASK_SECS)
        raise OutcomeUnknown(
            f"the connection to the store ({self._place}) broke during a commit: whether it was made is not known",
            remedy="nothing is lost: what the store holds is read again before anything further is written",
        )

    def _status(self, number: str, timeline: str) -> str | None:
        """Return what became of a transaction, None when nobody knows or can be reached."""
        try:
            connection = self._patient_connection()
            if self.link.timeline != timeline:
                return None
            row = connection.execute("SELECT pg_xact_status(%s::text::xid8)", (number,)).fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError):
            return "in progress"
        except (psycopg.Error, StoreUnavailable):
            return None
        return row[0] if row else None

    def _patient_connection(self) -> Connection:
        """Connect with twice the usual patience: it is worth a while to know."""
        try:
            return self.link.connection()
        except StoreUnavailable:
            return self.link.connection()


def _number(connection: Connection) -> str:
    cursor = connection.execute(_BEGIN)
    cursor.nextset()
    row = cursor.fetchone()
    return str(row[0]) if row else ""
