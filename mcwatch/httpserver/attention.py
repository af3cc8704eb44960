"""What needs attention in words, for the page and the command: together what has one reason and one remedy."""

from collections.abc import Sequence
from dataclasses import dataclass

from mcwatch.domain.status import StatusReport, problems

_MOST_NAMED = 5

PAUSES = {
    "backlog": (
        "the backlog of undelivered events has reached its limit",
        "polling goes on by itself when destinations take events again; nothing is lost meanwhile",
    ),
    "store": ("the store takes no writes", "polling goes on by itself when it does; nothing is lost meanwhile"),
}
"""Why polling rests, and what becomes of it, in words."""


@dataclass(frozen=True, slots=True)
class Attention:
    """What is wrong with one or many, and what to do about it."""

    subjects: Sequence[str]
    reason: str
    remedy: str

    @property
    def named(self) -> str:
        """The subjects, of many the first."""
        named = ", ".join(self.subjects[:_MOST_NAMED])
        further = len(self.subjects) - _MOST_NAMED
        return f"{named} and {further:,} more" if further > 0 else named


def attention(report: StatusReport) -> list[Attention]:
    """Put subjects together that have one reason and remedy: an expired secret may stop a hundred accounts."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in problems(report):
        why = PAUSES.get(one.reason, (one.reason, one.remedy)) if one.subject == "polling pauses" else None
        groups.setdefault(why or (one.reason, one.remedy), []).append(one.subject)
    return [Attention(subjects, reason, remedy) for (reason, remedy), subjects in groups.items()]
