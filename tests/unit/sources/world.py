"""The simulator on a socket, the real client of it, and sources that read through it, all in virtual time."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from mcwatch.domain.page import FeedProgress, FinderPage, QueuePage
from mcwatch.domain.window.coverage import Span, lay
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.config import ApiConfig
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.envelope import Answer, AnswerDecoder
from mcwatch.mimecast.quota import Priority
from mcwatch.simulator import AccountConfig, Simulator, SimulatorConfig
from mcwatch.sources import SourceContext
from mcwatch.sources.message_finder import MessageFinderConfig, MessageFinderSource
from mcwatch.sources.processing_queue import ProcessingQueueConfig, ProcessingQueueSource
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import START, FakeClock

T = TypeVar("T")
DEMO = AccountConfig()
OAUTH2 = {"type": "oauth2", "client_id": DEMO.client_id, "client_secret": DEMO.client_secret}
HMAC = {
    "type": "hmac",
    "app_id": DEMO.app_id,
    "app_key": DEMO.app_key,
    "access_key": DEMO.access_key,
    "secret_key": DEMO.secret_key,
}


class RecordingClient(MimecastClient):
    """The real client, which also keeps what it was asked for and what it answered."""

    def __init__(self, config: ApiConfig, clock: FakeClock, metrics: Metrics) -> None:
        super().__init__("acme", config, clock=clock, metrics=metrics, rng=random.Random(1))
        self.given = config
        self.asked: list[Mapping[str, Any]] = []
        self.tokens: list[str | None] = []
        self.answers: list[Answer[Any]] = []

    async def call(
        self,
        endpoint: Endpoint,
        item: Mapping[str, object],
        decoder: AnswerDecoder[T],
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        priority: Priority = Priority.FRESH,
    ) -> Answer[T]:
        """Ask the API."""
        self.asked.append(item)
        self.tokens.append(page_token)
        answer = await super().call(
            endpoint, item, decoder, page_size=page_size, page_token=page_token, priority=priority
        )
        self.answers.append(answer)
        return answer


@dataclass
class World:
    """Everything a test of a source needs; ``cursors`` and ``coverage`` hold what a store would have committed."""

    clock: FakeClock
    simulator: Simulator
    client: RecordingClient
    metrics: Metrics
    cursors: dict[str, bytes] = field(default_factory=dict)
    coverage: dict[str, list[Span]] = field(default_factory=dict)

    def finder(self, **options: Any) -> MessageFinderSource:  # noqa: ANN401 -- configuration
        """Build a finder; one search for the domain that the simulator's mails are sent to."""
        given = {"type": "message_finder", "searches": [{"to": "corp.example"}], "initial_look_back": "1h"}
        given |= {"rescans": []}
        return MessageFinderConfig.model_validate(given | options).build(self.context)

    def queue(self, **options: Any) -> ProcessingQueueSource:  # noqa: ANN401 -- configuration
        """Build a reader of the processing queue."""
        given = {"type": "processing_queue", "queues": ["processing"]}
        return ProcessingQueueConfig.model_validate(given | options).build(self.context)

    @asynccontextmanager
    async def restarted(self) -> AsyncIterator["World"]:
        """Run a new process on the same machine: it has the cursors, and no idea of the API's time."""
        metrics = Metrics(CollectorRegistry())
        async with RecordingClient(self.client.given, self.clock, metrics) as client:
            yield World(self.clock, self.simulator, client, metrics, self.cursors, self.coverage)

    @property
    def context(self) -> SourceContext:
        """What sources are built with."""
        return SourceContext("acme", self.client, self.clock, self.metrics)

    async def read(self, source: MessageFinderSource) -> list[FinderPage]:
        """Poll a finder to its end and keep the cursors page by page, as commits do."""
        pages: list[FinderPage] = []
        async for page in source.poll(self.progress):
            pages.append(page)
            self.commit(page)
        return pages

    @property
    def progress(self) -> FeedProgress:
        """What a store would tell."""
        return FeedProgress(dict(self.cursors), dict(self.coverage))

    def commit(self, page: FinderPage) -> None:
        """Keep what a page brings, as a commit does."""
        self.cursors.update(page.cursors)
        for search, spans in page.covered.items():
            for span in spans:
                self.coverage[search] = lay(self.coverage.get(search, ()), span)

    async def snapshot(self, source: ProcessingQueueSource) -> list[QueuePage]:
        """Poll a queue to its end."""
        return [page async for page in source.poll(FeedProgress())]

    def windows(self) -> list[tuple[datetime, datetime]]:
        """Return the windows asked for so far, in order, and forget them; requests begin a second early."""
        second = timedelta(seconds=1)
        asked = [(api_moment(item["start"]) + second, api_moment(item["end"])) for item in self.client.asked]
        self.client.asked.clear()
        return asked

    def metric(self, name: str, **labels: str) -> float | None:
        """Return a sample of the account."""
        return self.metrics.registry.get_sample_value(f"mcwatch_{name}", {"account": "acme", **labels})


def api_moment(text: str) -> datetime:
    """Read a time as requests have it."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")


@asynccontextmanager
async def world(
    config: SimulatorConfig | None = None,
    *,
    auth: Mapping[str, str] = OAUTH2,
    clock_ahead_secs: float = 0.0,
    **api: object,
) -> AsyncIterator[World]:
    """Start a simulator, without mail of its own unless told otherwise, and a client of it with these options.

    The simulator's clock is right; this machine's may be ahead of it, and jumps of it move the simulator's not.
    """
    clock = FakeClock()
    clock.jump(clock_ahead_secs)
    metrics = Metrics(CollectorRegistry())
    true_time = START.timestamp()
    async with Simulator(config or SimulatorConfig.quiet(), lambda: true_time + clock.monotonic()) as simulator:
        options = {"auth": auth, "base_url": simulator.url, "max_requests_per_minute": 1_000_000, **api}
        async with RecordingClient(ApiConfig.model_validate(options), clock, metrics) as client:
            yield World(clock, simulator, client, metrics)
