"""What commands ask and are answered about events that were sent before, refused, or given up.

Long work is done step by step: whoever asks holds what is left.
"""

from datetime import datetime

import msgspec

from mcwatch.domain.outbox import LetterChoice


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events recorded in a range of time, to be sent to one destination again."""

    destination: str
    start: datetime
    end: datetime


class ReplayStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events of one account, from offset ``start`` up to ``end``."""

    destination: str
    account: str
    account_id: int
    start: int
    end: int


class ReplayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to send, and what is to be known about it."""

    destination: str
    steps: list[ReplayStep]
    notes: list[str] = []

    @property
    def events(self) -> int:
        """How many events the steps hold, selected or not."""
        return sum(step.end - step.start for step in self.steps)


class ReplayedStep(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a step, with the refused events by reason; ``rest`` is what is left of it."""

    sent: int
    not_selected: int
    refused: dict[str, int]
    rest: list[ReplayStep]


class LetterRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chosen dead letters, behind number ``after``: all that fit, ``ids`` empty fits all, ``destination`` None too."""

    ids: list[int] = []
    destination: str | None = None
    after: int = 0

    @property
    def choice(self) -> LetterChoice:
        """The choice as the store takes it."""
        return LetterChoice(tuple(self.ids), self.destination)


class RetriedStep(msgspec.Struct, frozen=True, kw_only=True):
    """What became of some dead letters; ``rest`` asks for the next ones, None when all have been tried.

    ``kept`` cannot be sent, by why not: rows that could not be decoded, letters of destinations that are gone.
    """

    delivered: int
    refused: dict[str, int]
    kept: dict[str, int]
    rest: LetterRequest | None


class Discarded(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead letters were deleted, and whether there are more."""

    count: int
    more: bool


class ShownLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter with what it holds, as text: bytes that are no UTF-8 are escaped."""

    id: int
    account: str
    destination: str
    event_id: str
    reason: str
    detail: str
    at: datetime
    size: int
    body: str


class ForgetRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A destination that is gone from the configuration."""

    name: str


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What a released destination had not received, and its dead letters that stay until they expire."""

    name: str
    waiting: int
    dead_letters: int
