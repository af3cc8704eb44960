"""How a mail's life is drawn: its stay in the processing queue, then the statuses the finder shows."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from mcwatch.simulator.dice import pick
from mcwatch.simulator.mail import FinderState, QueueState
from mcwatch.simulator.times import DAY_SECS

LONGEST_STAY: Final = 75
"""Upper bound of a stay, in multiples of the typical one, returns included."""
LONGEST_RETRY_SECS: Final = 900.0

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_HOLDS: Final = ("Spam Signature", "Attachment Protect", "Content Examination", "Impersonation Protect", "DLP")
_WAITS: Final = (
    "Waiting for attachment scan",
    "Sandbox analysis running",
    "Sandbox time-out, trying again",
    "Policy checks running",
    "Delayed: more than 10 identical mails",
)
_OUTCOMES: Final[dict[str, tuple[str, ...]]] = {
    "inbound": ("accepted",) * 56 + ("held",) * 14 + ("delivery",) * 12 + ("rejected",) * 10 + ("deferred",) * 5
    + ("bounced",) * 2 + ("system",),
    "outbound": ("delivery",) * 50 + ("accepted",) * 36 + ("held",) * 4 + ("bounced",) * 5 + ("bulk_delivery",) * 5,
    "internal": ("accepted",) * 90 + ("delivery",) * 8 + ("held",) * 2,
    "external": ("accepted",) * 80 + ("rejected",) * 20,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast lives pass, in seconds of the clock."""

    dwell_secs: float
    appearance_secs: float
    speed: float


def outcome(rng: Random, route: str) -> str:
    """Draw what becomes of a mail: the status the finder will show first."""
    return pick(rng, _OUTCOMES[route])


def refused_at_the_door(result: str) -> bool:
    """Tell whether the mail never gets past the connection, hence never into the queue."""
    return result in {"rejected", "deferred"}


def queue_life(rng: Random, born_at: float, pace: Pace) -> tuple[QueueState, ...]:
    """Draw the stay in the queue; the last state is the departure.

    Long stays change on the way (attempts, info, lock), one mail in fifty is moved to the bulk queue, and one in a
    hundred comes back after it had left.
    """
    queue = "bulk_processing" if rng.random() < 0.06 else "processing"
    stay = _stay(rng) * pace.dwell_secs
    states = [QueueState(born_at, queue, 1, _first_info(rng), None, int(born_at + 60))]
    if stay > 2 * pace.dwell_secs:
        states += _changes(rng, states[0], stay)
    left_at = born_at + stay
    states.append(QueueState(left_at, ""))
    if rng.random() < 0.01:
        back_at = left_at + rng.uniform(1.0, 2.0) * pace.dwell_secs
        states.append(QueueState(back_at, queue, 2, pick(rng, _WAITS), None, int(back_at + 60)))
        states.append(QueueState(back_at + rng.uniform(1.0, 3.0) * pace.dwell_secs, ""))
    return tuple(states)


def finder_life(rng: Random, result: str, shown_at: float, pace: Pace) -> tuple[FinderState, ...]:
    """Draw the statuses from the first showing on (reference notes §G, lifecycle)."""
    return tuple(_LIVES[result](rng, shown_at, pace.speed))


def appearance_delay(rng: Random, pace: Pace) -> float:
    """Draw the time until the finder first shows a mail."""
    return pace.appearance_secs * min(rng.lognormvariate(0.0, 0.7), 15.0)


def retry_delay(rng: Random, pace: Pace) -> float:
    """Draw after how long a deferred sender comes again; never more than LONGEST_RETRY_SECS."""
    return max(1.0, rng.uniform(_MINUTE, LONGEST_RETRY_SECS) / pace.speed)


def _stay(rng: Random) -> float:
    draw = rng.random()
    if draw < 0.80:
        return min(rng.lognormvariate(0.0, 0.6), 60.0)
    return rng.uniform(3.0, 10.0) if draw < 0.95 else rng.uniform(10.0, 60.0)


def _first_info(rng: Random) -> str | None:
    return None if rng.random() < 0.7 else pick(rng, _WAITS)


def _changes(rng: Random, first: QueueState, stay: float) -> list[QueueState]:
    count = int(rng.random() * 3) + 1
    moments = sorted(first.at + stay * rng.uniform(0.15, 0.9) for _ in range(count))
    states, queue = [], first.queue
    for attempts, at in enumerate(moments, start=2):
        if rng.random() < 0.1:
            queue = "bulk_processing"
        locked = int(at + 30) if rng.random() < 0.4 else None
        states.append(QueueState(at, queue, attempts, pick(rng, _WAITS), locked, int(at + 60)))
    return states


def _accepted(rng: Random, at: float, speed: float) -> list[FinderState]:
    states = [FinderState(at, "accepted", "Message accepted for delivery")]
    # Mail with a retention of three days or less never becomes archived.
    if rng.random() > 0.03:
        states.append(FinderState(at + rng.uniform(2 * _HOUR, 6 * _HOUR) / speed, "archived", "Indexed and archived"))
    return states


def _delivered(rng: Random, at: float, speed: float, status: str = "delivery") -> list[FinderState]:
    states = [FinderState(at, status, "Delivery in progress")]
    while rng.random() < 0.25 and len(states) < 30:
        at += rng.uniform(_MINUTE, 30 * _MINUTE) / speed
        states.append(FinderState(at, status, f"Delivery attempt {len(states)} failed: 451 4.7.1 try again later"))
    at += rng.uniform(_MINUTE, 30 * _MINUTE) / speed
    return [*states, FinderState(at, "archived", "Indexed and archived")]


def _bulk_delivered(rng: Random, at: float, speed: float) -> list[FinderState]:
    return _delivered(rng, at, speed, "bulk_delivery")


def _held(rng: Random, at: float, speed: float) -> list[FinderState]:
    states = [FinderState(at, "held", f"Message Hold Applied - {pick(rng, _HOLDS)} policy")]
    draw, decided_at = rng.random(), at + rng.uniform(10 * _MINUTE, 8 * _HOUR) / speed
    if draw < 0.5:
        released = FinderState(decided_at, "delivery", "Released by administrator")
        archived_at = decided_at + rng.uniform(5 * _MINUTE, 90 * _MINUTE) / speed
        return [*states, released, FinderState(archived_at, "archived", "Indexed and archived")]
    if draw < 0.6:
        return [*states, FinderState(decided_at, "rejected", "Held message rejected by administrator")]
    return [*states, FinderState(at + 14 * DAY_SECS, "rejected", "Hold expired")]


def _refused(status: str, info: str) -> Callable[[Random, float, float], list[FinderState]]:
    # These rows are kept for seven days, and no speed changes that: clients plan with it.
    def life(_rng: Random, at: float, _speed: float) -> list[FinderState]:
        return [FinderState(at, status, info), FinderState(at + 7 * DAY_SECS, "")]

    return life


def _bounced(rng: Random, at: float, speed: float) -> list[FinderState]:
    bounced_at = at + rng.uniform(_MINUTE, 60 * _MINUTE) / speed
    return [
        FinderState(at, "delivery", "Delivery in progress"),
        FinderState(bounced_at, "bounced", "550 5.1.1 user unknown"),
    ]


def _system(_rng: Random, at: float, _speed: float) -> list[FinderState]:
    return [FinderState(at, "system", None)]


_LIVES: Final[dict[str, Callable[[Random, float, float], list[FinderState]]]] = {
    "accepted": _accepted,
    "delivery": _delivered,
    "bulk_delivery": _bulk_delivered,
    "held": _held,
    "rejected": _refused("rejected", "Envelope Rejected"),
    "deferred": _refused("deferred", "Greylisted"),
    "bounced": _bounced,
    "system": _system,
}
