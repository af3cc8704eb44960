"""The whole history of a simulated account, and what mcwatch promises of it."""

import math
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile

from mcwatch.simulator import Simulator
from mcwatch.simulator.births import SLOT_SECS
from mcwatch.simulator.ledger import Sighting
from mcwatch.simulator.mail import Mail
from mcwatch.simulator.world import Row as WorldRow
from tests.virtual.daemon import Span
from tests.virtual.receiver import Row
from tests.virtual.witness import row_of


@dataclass(frozen=True, slots=True)
class Tier:
    """A repeated look: how often, how far back; seconds."""

    every: float
    look_back: float


@dataclass(frozen=True, slots=True)
class Showing:
    """A finder row in one state, and the times in which the finder shows it: [from, to), in seconds since 1970."""

    sighting: Sighting
    times: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class MailLife:
    """A mail and all that the finder ever shows of it."""

    mail: Mail
    showings: list[Showing]


def mail_lives(simulator: Simulator, until: float) -> Iterator[MailLife]:
    """Yield every mail of the first account received until then, in the order of receipt by minute."""
    account = simulator.config.accounts[0].name
    functions = simulator._functions[account]
    world, writer = functions.world, functions._writer
    for slot in range(world._origin // SLOT_SECS, math.floor(until) // SLOT_SECS + 1):
        for mail in world._mails(slot):
            showings: dict[Row, Showing] = {}
            ends = [state.at for state in mail.finder_states[1:]] + [math.inf]
            for state, end in zip(mail.finder_states, ends, strict=True):
                if not state.status:
                    continue
                sighting = writer.finder_row(WorldRow(mail, state), None)[1]
                showings.setdefault(row_of(sighting), Showing(sighting, [])).times.append((state.at, end))
            yield MailLife(mail, list(showings.values()))


@dataclass(frozen=True, slots=True)
class Promise:
    """Under which circumstances a state must have been delivered.

    ``up`` are the times in which daemon and API were both there, one after the other. ``since`` is how far back mail is
    owed at all. ``slack_secs`` is granted on top of a tier's period, where faults make polls fail.
    """

    tiers: Sequence[Tier]
    up: Sequence[Span]
    since: float
    slack_secs: float = 0.0

    def tier_for(self, mail: Mail, showing: Showing) -> Tier | None:
        """Return the tier that had a whole period to see it; None when nothing is promised of this state."""
        if mail.received < self.since:
            return None
        for tier in self.tiers:
            for shown_from, shown_to in showing.times:
                seen_to = min(shown_to, mail.received + tier.look_back)
                for up in self._up_in(shown_from, seen_to):
                    if min(seen_to, up.ended_at) - max(shown_from, up.began_at) >= tier.every + self.slack_secs:
                        return tier
        return None

    def _up_in(self, begin: float, end: float) -> Iterator[Span]:
        first = bisect_right(self.up, begin, key=lambda span: span.ended_at)
        return takewhile(lambda span: span.began_at < end, islice(self.up, first, None))


@dataclass(frozen=True, slots=True)
class Missing:
    """A state that was promised and has not arrived."""

    life: MailLife
    showing: Showing
    why: str


def promised_and_missing(
    lives: Iterator[MailLife], promise: Promise, delivered: Collection[Row]
) -> tuple[int, list[Missing]]:
    """Return how many states were promised, and those that have not arrived."""
    promised, missing = 0, []
    for life in lives:
        for showing in life.showings:
            tier = promise.tier_for(life.mail, showing)
            if tier is None:
                continue
            promised += 1
            if row_of(showing.sighting) not in delivered:
                missing.append(Missing(life, showing, f"tier of {tier.every:.0f} s over {tier.look_back:.0f} s"))
    return promised, missing


def shown_and_missing(
    lives: Iterator[MailLife], span: Span, since: float, delivered: Collection[Row]
) -> tuple[int, list[Missing]]:
    """Return how many states of mail received after ``since`` were shown all the time, and those not arrived."""
    shown, missing = 0, []
    for life in lives:
        for showing in life.showings if life.mail.received >= since else ():
            if any(begin <= span.began_at and span.ended_at <= end for begin, end in showing.times):
                shown += 1
                if row_of(showing.sighting) not in delivered:
                    missing.append(Missing(life, showing, "shown all the time"))
    return shown, missing


def told(missing: Sequence[Missing], delivered: Collection[Row], most: int = 10) -> str:
    """Tell the lives of what is missing, so that a failure can be understood."""
    lines = [f"{len(missing)} states are missing; the first of them:"]
    for one in missing[:most]:
        mail = one.life.mail
        lines.append(f"- mail {mail.uid} ({mail.route}), received {_moment(mail.received)}: {one.why}")
        for showing in one.life.showings:
            mark = "here" if row_of(showing.sighting) in delivered else "LACKS"
            times = ", ".join(f"{_moment(begin)} to {_moment(end)}" for begin, end in showing.times)
            lines.append(f"    {mark} {showing.sighting.status} ({showing.sighting.info}): {times}")
    return "\n".join(lines)


def _moment(at: float) -> str:
    return "ever" if math.isinf(at) else datetime.fromtimestamp(at, UTC).strftime("%d %H:%M:%S")
