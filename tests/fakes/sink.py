"""A sink that records what it is given and answers as a test has scripted."""

from collections import deque
from types import TracebackType
from typing import Self

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import McwatchError
from mcwatch.interfaces import Acknowledgements

Answer = Verdicts | McwatchError


class FakeSink:
    """Keeps every batch it is asked to deliver; ``accepted`` holds the payloads that it said yes to, in order.

    While ``outage`` is set, every delivery and check raises it and uses up no answer.

    Args:
        answers: what the next deliveries are answered with, in turn; when they are used up, everything is accepted.
    """

    acknowledgements: Acknowledgements | None = None

    def __init__(self, *answers: Answer, most_at_once: int = 1) -> None:
        self.most_at_once = most_at_once
        self.answers: deque[Answer] = deque(answers)
        self.batches: list[Batch] = []
        self.accepted: list[bytes] = []
        self.outage: McwatchError | None = None
        self.is_open = False

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_open = False

    async def deliver(self, batch: Batch) -> Verdicts:
        """Record the batch and give the next scripted answer."""
        self.batches.append(batch)
        if self.outage:
            raise self.outage
        answer = self.answers.popleft() if self.answers else ALL_ACCEPTED
        if isinstance(answer, McwatchError):
            raise answer
        self.accepted += [
            payload
            for index, payload in enumerate(batch.payloads)
            if index not in answer.refused and index not in answer.retry
        ]
        return answer

    async def check(self) -> str:
        """Say that all is well, unless there is an outage."""
        if self.outage:
            raise self.outage
        return "a sink that accepts everything"
