"""The seeded generator: which mails are born in which minute, each with its whole life."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from mcwatch.simulator.dice import generator, pick
from mcwatch.simulator.lives import (
    LONGEST_RETRY_SECS,
    Pace,
    appearance_delay,
    finder_life,
    outcome,
    queue_life,
    refused_at_the_door,
    retry_delay,
)
from mcwatch.simulator.mail import FinderState, Mail, QueueState
from mcwatch.simulator.people import NULL_SENDER, parties, sender_ip
from mcwatch.simulator.subjects import subject
from mcwatch.simulator.times import DAY_SECS

SLOT_SECS: Final = 60
RETRY_SLOTS: Final = math.ceil(LONGEST_RETRY_SECS / SLOT_SECS) + 1
"""How many slots a deferred mail's second row may lie after its first."""

ODDITIES: Final = ("numbers_as_text", "to_as_object", "other_keys", "nulls", "unknown_keys", "floats")
_LEVELS: Final = ("relaxed", "relaxed", "aggressive", "not_initiated", "")
_BURST_SHARE: Final = 0.05
_BURST_FACTOR: Final = 3.0


@dataclass(frozen=True, slots=True)
class Flow:
    """How much mail there is, and of which kind."""

    per_minute: float
    hostile_share: float
    odd_share: float
    twin_share: float
    pace: Pace


class Births:
    """The mails born in a slot of one minute: a pure function of seed, account and slot number."""

    def __init__(self, seed: int, account: str, domains: tuple[str, ...], flow: Flow) -> None:
        self._seed = seed
        self._account = account
        self._domains = domains
        self._flow = flow

    def of(self, slot: int) -> Iterator[Mail]:
        """Yield the slot's mails, the later rows of deferred ones included, which may lie in a later slot."""
        rng = generator(self._seed, self._account, slot)
        moments = sorted((slot + rng.random()) * SLOT_SECS for _ in range(self._count(rng, slot)))
        for number, born_at in enumerate(moments):
            yield from self._born(rng, f"{slot}.{number}", born_at)

    def _count(self, rng: Random, slot: int) -> int:
        # A calm night and a busy noon, and now and then a mailshot.
        of_day = slot * SLOT_SECS % DAY_SECS / DAY_SECS
        mean = self._flow.per_minute * SLOT_SECS / 60 * (1 - 0.3 * math.cos(of_day * math.tau))
        if rng.random() < _BURST_SHARE:
            mean *= _BURST_FACTOR
        return int(mean + rng.random())

    def _born(self, rng: Random, uid: str, born_at: float) -> Iterator[Mail]:
        people = parties(rng, self._domains)
        result = outcome(rng, people.route)
        queue_states, finder_states = self._life(rng, result, born_at)
        mail = Mail(
            uid=uid,
            born_at=born_at,
            route=people.route,
            envelope_from=NULL_SENDER if result == "system" else people.envelope_from,
            header_from=people.header_from,
            to=people.to,
            subject=subject(rng, self._flow.hostile_share),
            sender_ip=sender_ip(rng),
            attachments=rng.random() < 0.3,
            size=int(rng.lognormvariate(10.0, 1.2)) + 600,
            spam_score=int(rng.random() * rng.random() * 30),
            detection_level=pick(rng, _LEVELS),
            oddity=pick(rng, ODDITIES) if rng.random() < self._flow.odd_share else "",
            queue_states=queue_states,
            finder_states=finder_states,
        )
        yield mail
        if result == "deferred":
            yield self._again(rng, mail, "retry", born_at + retry_delay(rng, self._flow.pace))
        elif rng.random() < self._flow.twin_share:
            yield self._again(rng, mail, "twin", born_at)

    def _again(self, rng: Random, mail: Mail, suffix: str, born_at: float) -> Mail:
        queue_states, finder_states = self._life(rng, "accepted", born_at)
        uid = f"{mail.uid}.{suffix}"
        return replace(mail, uid=uid, born_at=born_at, queue_states=queue_states, finder_states=finder_states)

    def _life(self, rng: Random, result: str, born_at: float) -> tuple[tuple[QueueState, ...], tuple[FinderState, ...]]:
        pace = self._flow.pace
        if refused_at_the_door(result):
            return (), finder_life(rng, result, born_at + appearance_delay(rng, pace), pace)
        queue_states = queue_life(rng, born_at, pace)
        left_at = queue_states[-1].at
        states = finder_life(rng, result, left_at + appearance_delay(rng, pace), pace)
        # A few show in the finder while they are still in the queue.
        if rng.random() < 0.1:
            early = FinderState(born_at + appearance_delay(rng, pace), queue_states[0].queue, None)
            states = (early, *states) if early.at < states[0].at else states
        return queue_states, states
