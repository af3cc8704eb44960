"""A source that shows what a test has scripted."""

from collections import deque
from collections.abc import AsyncIterator, Sequence

from mcwatch.domain.page import FeedProgress, Page
from mcwatch.domain.status import SourceReading

Step = Page | Exception


class FakeSource:
    """Yields scripted pages; ``asked`` keeps the cursors of every poll, ``closed`` counts the polls that have ended.

    Args:
        polls: what the next polls bring, in turn, page by page; an exception among them is raised there. When they are
            used up, a poll brings nothing.
    """

    def __init__(self, name: str, *polls: Sequence[Step], interval_secs: float = 30.0) -> None:
        self.name = name
        self.interval_secs = interval_secs
        self.requests_per_minute = 60.0 / interval_secs
        self.polls: deque[Sequence[Step]] = deque(polls)
        self.asked: list[dict[str, bytes]] = []
        self.closed = 0

    async def poll(self, progress: FeedProgress) -> AsyncIterator[Page]:
        """Give the next scripted pages."""
        self.asked.append(dict(progress.cursors))
        try:
            for step in self.polls.popleft() if self.polls else ():
                if isinstance(step, Exception):
                    raise step
                yield step
        finally:
            self.closed += 1

    def reading(self) -> SourceReading:
        """Say that nothing is known."""
        return SourceReading()
