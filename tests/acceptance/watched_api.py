"""The simulated API with a door of its own for each process that asks, and a record of who asked for what when."""

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import web

from mcwatch.simulator import Sighting, Simulator, SimulatorConfig
from mcwatch.simulator.envelope import Answer, Call
from mcwatch.simulator.functions import SOURCES, Endpoint, Functions

_HOST = "127.0.0.1"


@dataclass(slots=True)
class Question:
    """A request for an account's rows. Times are seconds since 1970; ``answered_at`` is 0 for a lost answer."""

    life: str
    account: str
    source: str
    at: float
    answered_at: float = 0.0
    rows: frozenset[Sighting] = frozenset()


class WatchedApi(Simulator):
    """Remembers every question, and which process asked it: each one has got a port of its own."""

    def __init__(self, config: SimulatorConfig) -> None:
        super().__init__(config)
        self.questions: list[Question] = []
        self.when_asked: Callable[[Question], None] = lambda _question: None
        self._lives: dict[int, str] = {}
        self._life: ContextVar[str] = ContextVar("life")
        self._question: ContextVar[Question | None] = ContextVar("question", default=None)
        self._answer_as_ever, self._server.api = self._server.api, self._answer  # type: ignore[method-assign]  # listened in on
        self._record_as_ever, self.ledger.record = self.ledger.record, self._record  # type: ignore[method-assign]  # as above
        for account, functions in self._functions.items():
            functions.answers = self._noting(account, functions)  # type: ignore[assignment,method-assign]  # as above

    async def door(self, life: str) -> str:
        """Listen at one more port, for the process of this name; return its base URL."""
        assert self._runner is not None
        listening = socket.create_server((_HOST, 0))
        port: int = listening.getsockname()[1]
        self._lives[port] = life
        await web.SockSite(self._runner, listening).start()
        return f"http://{_HOST}:{port}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self._life.set(self._lives[request.transport.get_extra_info("sockname")[1]])
        self._question.set(None)
        return await self._answer_as_ever(request)

    def _noting(self, account: str, functions: Functions) -> Callable[[Endpoint, Call, float], list[Answer]]:
        answers = functions.answers

        def noted(endpoint: Endpoint, call: Call, now: float) -> list[Answer]:
            if endpoint in SOURCES:
                question = Question(self._life.get(), account, SOURCES[endpoint], time.time())
                self._question.set(question)
                self.questions.append(question)
                self.when_asked(question)
            return answers(endpoint, call, now)

        return noted

    def _record(self, sightings: Iterable[Sighting], now: float) -> None:
        rows: Sequence[Sighting] = list(sightings)
        question = self._question.get()
        if question is not None:
            question.answered_at, question.rows = time.time(), frozenset(rows)
        self._record_as_ever(rows, now)
