"""By what a row of the message finder is known again at the next poll, and the sign that it is not.

Whether a Mimecast id is the same at two polls is not known for every tenant (reference notes, section K). Where it is
not, every row read again would be a new event.
"""

from dataclasses import dataclass
from enum import StrEnum

UNSTABLE_REASON = "Mimecast ids change from poll to poll: {percent} % of the rows read again came with another id"
UNSTABLE_REMEDY = "set identity: content for this source"

_LIMIT = 0.05
_ENOUGH_ROWS = 200
_MEMORY_ROWS = 2_000


class Identity(StrEnum):
    """What names a row of the finder.

    ``content``: its message key, its state and its number among the rows alike in both within one complete answer.
    """

    ID = "id"
    CONTENT = "content"


@dataclass(slots=True)
class IdentityWatch:
    """Watches one source for ids that do not last: over 5 % of at least 200 rows read again came with another one.

    Old pages count less and less (all is halved whenever 2,000 rows are passed), so it recovers by itself.

    It cannot tell a row under another id from a twin: another mail of the same second, sender, recipients, subject, IP
    and route that appears late, in the same state, in a page without the row it is taken for. Nor does it see ids that
    change for rows never read twice, for rows whose state changed meanwhile, or for mails told apart by no second.
    """

    _reread: float = 0.0
    _reidentified: float = 0.0

    def note(self, reread: int, reidentified: int) -> None:
        """Take in a page: the rows that had been read before, and how many of those came with another id."""
        self._reread += reread
        self._reidentified += reidentified
        while self._reread >= _MEMORY_ROWS:
            self._reread /= 2
            self._reidentified /= 2

    @property
    def share(self) -> float:
        """How much of what was read again lately came with another id, from 0 to 1."""
        return self._reidentified / self._reread if self._reread else 0.0

    @property
    def unstable(self) -> bool:
        """Whether the ids of this source cannot be relied on."""
        return self._reread >= _ENOUGH_ROWS and self.share > _LIMIT

    @property
    def reason(self) -> str:
        """What to say of it while it is unstable."""
        return UNSTABLE_REASON.format(percent=round(self.share * 100))
