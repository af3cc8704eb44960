"""What a source must know of its API before it can plan windows: the API's clock, and how far back it answers."""

from dataclasses import replace
from datetime import datetime, timedelta

from mcwatch.domain.errors import McwatchError, PermanentError
from mcwatch.domain.window.plan import Reach
from mcwatch.domain.window.ranges import ONE_SECOND, Window, whole_second
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.errors import HistoryExceeded
from mcwatch.sources.base import ends_poll
from mcwatch.sources.message_finder.notices import Notices
from mcwatch.sources.message_finder.reader import WindowReader
from mcwatch.sources.message_finder.searches import Search

_HISTORY_PRECISION = timedelta(hours=1)
_BELIEVED_FOR = timedelta(days=1)


class ApiFacts:
    """What one source has learnt. ``reach`` is as configured until the API shows that its history is shorter."""

    def __init__(self, reach: Reach, client: MimecastClient, reader: WindowReader, notices: Notices) -> None:
        self.reach = reach
        self._configured = reach
        self._client = client
        self._reader = reader
        self._notices = notices
        self._has_asked_time = False
        self._history_learnt_at = self.now()

    @property
    def history_is_short(self) -> bool:
        """Whether the API answers for a shorter time than was expected of it."""
        return self.reach.history < self._configured.history

    @property
    def knows_time(self) -> bool:
        """Whether the API's clock is known; :meth:`now` is this machine's otherwise."""
        return self._client.skew_secs is not None

    def now(self) -> datetime:
        """Return the time on the API's clock, in whole seconds."""
        return whole_second(self._client.server_now())

    async def learn_time(self, search: Search | None) -> None:
        """Get to know the API's clock, by which windows are planned: this machine's may be off by years.

        Where no token has to be fetched, ``search`` is made to be answered, else one without a filter.
        """
        if self.knows_time or self._has_asked_time:
            return
        await self._client.prepare()
        if not self.knows_time:
            await self._ask_time(search or Search("all", {}))
        self._has_asked_time = True

    async def _ask_time(self, search: Search) -> None:
        """Make a search that is only to be answered, be it by a refusal of its time: API 1.0 has no token to fetch."""
        at = self.now() - ONE_SECOND
        try:
            await self._reader.probe(search, Window(at, at + ONE_SECOND))
        except McwatchError as error:
            if ends_poll(error) or not self.knows_time:
                raise

    async def learn_history(self, search: Search, error: PermanentError) -> None:
        """Find out by halving how far back the API answers, and look no farther for a day.

        Raises ``error`` where it refuses every start, or none: that refusal was about something else.
        """
        now = self.now()
        answered, refused = timedelta(0), self.reach.history
        if await self._answers(search, now - refused):
            raise error
        while refused - answered > _HISTORY_PRECISION:
            middle = (answered + refused) // 2 // ONE_SECOND * ONE_SECOND
            if await self._answers(search, now - middle):
                answered = middle
            else:
                refused = middle
        if not answered:
            raise error
        self.reach = replace(self.reach, history=answered)
        self._history_learnt_at = now
        self._notices.history(search, answered)

    def doubt_history(self) -> None:
        """Expect the whole history again when it was found short a day ago: it may have been a fault."""
        if self.history_is_short and not timedelta(0) <= self.now() - self._history_learnt_at < _BELIEVED_FOR:
            self.reach = self._configured

    async def _answers(self, search: Search, start: datetime) -> bool:
        try:
            await self._reader.probe(search, Window(start, start + ONE_SECOND))
        except HistoryExceeded:
            return False
        return True
