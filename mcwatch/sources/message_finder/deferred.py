"""What a poll does beside reading what is new, until the next one is due: new mail never waits for last week's."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime

from mcwatch.domain.errors import AuthError, McwatchError
from mcwatch.domain.page import FinderPage
from mcwatch.interfaces import Clock
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.errors import HistoryExceeded
from mcwatch.mimecast.quota import Priority
from mcwatch.sources.base import ends_poll
from mcwatch.sources.message_finder.facts import ApiFacts
from mcwatch.sources.message_finder.jobs import Again, Job, Jobs
from mcwatch.sources.message_finder.ledger import Ledger

_PATIENCE_SECS = 300.0


class Failed:
    """The searches that failed in a poll or were not read yet, and the last of their errors."""

    def __init__(self, searches: Iterable[str]) -> None:
        self.searches = set(searches)
        self.error: McwatchError | None = None

    def note(self, search: str, error: McwatchError) -> None:
        """Take note of a failure."""
        self.searches.add(search)
        self.error = error


class Deferred:
    """Does the jobs of one source, one window at a time."""

    def __init__(
        self,
        jobs: Jobs,
        facts: ApiFacts,
        *,
        client: MimecastClient,
        clock: Clock,
    ) -> None:
        self._jobs = jobs
        self._facts = facts
        self._client = client
        self._clock = clock
        self._moved_at = clock.monotonic()
        self._unlucky: dict[str, None] = {}
        self._refused: str | None = None

    async def read(
        self, ledgers: Mapping[str, Ledger], now: datetime, until: float, failed: Failed
    ) -> AsyncIterator[FinderPage]:
        """Do what is due by ``now``, as long as the next poll, at ``until`` (monotonic), need not wait for it."""
        while (job := self._next(ledgers, now, failed)) is not None:
            search = job.ledger.search.name
            # Whatever comes of it, a job that changes nothing is not chosen twice in a poll.
            failed.searches.add(search)
            priority = self._priority(job, until)
            if priority is None:
                return
            try:
                async with aclosing(self._do_some(job, priority, now, until, failed)) as pages:
                    async for page in pages:
                        yield page
            except McwatchError as error:
                failed.note(search, error)
                self._put_off(search, error)
                if ends_poll(error):
                    return

    def _put_off(self, search: str, error: McwatchError) -> None:
        """Let the others go first next time, unless it is the first time in a row that the credentials were refused.

        That is no search's fault as a rule, and what is due first is still due first then.
        """
        is_refusal = isinstance(error, AuthError)
        self._unlucky.pop(search, None)
        if not is_refusal or search == self._refused:
            self._unlucky[search] = None
        self._refused = search if is_refusal else None

    async def _do_some(
        self, job: Job, priority: Priority, now: datetime, until: float, failed: Failed
    ) -> AsyncGenerator[FinderPage]:
        """Do a job, as long as it does not keep the next poll waiting and until it has come on."""
        search = job.ledger.search.name
        try:
            async for page in self._jobs.do(job, priority, now, self._facts.reach):
                moves = job.moves(page)
                yield page
                job.ledger.apply(page)
                if moves:
                    failed.searches.discard(search)
                    self._unlucky.pop(search, None)
                    self._refused = None
                    self._moved_at = self._clock.monotonic()
                    if self._would_wait(job.priority, until):
                        return
        except HistoryExceeded as error:
            await self._facts.learn_history(job.ledger.search, error)
            failed.searches.discard(search)
        if isinstance(job, Again):
            failed.searches.discard(search)

    def _priority(self, job: Job, until: float) -> Priority | None:
        """Return the priority to do a job with, None while it would keep the next poll waiting.

        What has been put off for minutes gets one window like a fresh one: it would never come to an end else.
        """
        if not self._would_wait(job.priority, until):
            return job.priority
        patient = self._clock.monotonic() - self._moved_at < _PATIENCE_SECS
        return None if patient else Priority.FRESH

    def _would_wait(self, priority: Priority, until: float) -> bool:
        wait_secs = self._client.wait_secs(Endpoint.MESSAGE_FINDER, priority)
        return self._clock.monotonic() + wait_secs >= until

    def _next(self, ledgers: Mapping[str, Ledger], now: datetime, failed: Failed) -> Job | None:
        """Return what to do next; a search whose job failed last waits until the others have nothing left to do."""
        left = {name: ledger for name, ledger in ledgers.items() if name not in failed.searches}
        unlucky = [[left.pop(name)] for name in self._unlucky if name in left]
        for some in (list(left.values()), *unlucky):
            job = self._jobs.next(some, now, self._facts.reach)
            if job is not None:
                return job
        return None
