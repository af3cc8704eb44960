"""Mail added by hand: a JSON object with a given life becomes a mail of the world.

`life` is a list of `[after_secs, what]`, counted from the time of receipt: `processing` and `bulk_processing` put the
mail into that queue, `left` takes it out, any other word is the status the finder shows from then on (`gone`: none).
A step may also be an object, which says more, and reaches a finder status named like a queue:
`{"after_secs": 5, "queue": "processing", "attempts": 2, "info": "scanning", "locked_for_secs": 30}` or
`{"after_secs": 9, "status": "held", "info": "Message Hold Applied"}`. In the subject `{n}` becomes the mail's number.
"""

import msgspec

from mcwatch.simulator.births import ODDITIES
from mcwatch.simulator.mail import Address, FinderState, Mail, QueueState
from mcwatch.simulator.processing import QUEUES


class MailError(Exception):
    """The mail cannot be read; the text says why."""


class _Step(msgspec.Struct, forbid_unknown_fields=True):
    after_secs: float
    queue: str | None = None
    status: str | None = None
    attempts: int = 1
    info: str | None = None
    locked_for_secs: float | None = None


class _GivenMail(msgspec.Struct, forbid_unknown_fields=True, rename={"sender": "from"}):
    sender: str = "sender@partner.example"
    header_from: str | None = None
    to: list[str] = msgspec.field(default_factory=lambda: ["amy.adams@corp.example"])
    subject: str | None = "Given mail"
    route: str = "inbound"
    sender_ip: str = "192.0.2.25"
    attachments: bool = False
    size: int = 4096
    spam_score: int = 0
    detection_level: str = ""
    oddity: str = ""
    received_ago_secs: float = 0.0
    life: list[tuple[float, str] | _Step] = msgspec.field(default_factory=lambda: [(0.0, "accepted")])
    count: int = 1


def mails_from(content: dict[str, object], now: float, first_number: int) -> list[Mail]:
    """Read a mail, or `count` alike ones, numbered from `first_number`; raises MailError when it cannot be read."""
    try:
        given = msgspec.convert(content, _GivenMail)
    except msgspec.ValidationError as error:
        raise MailError(str(error)) from error
    if given.oddity not in {"", *ODDITIES}:
        message = f"no oddity {given.oddity!r}; there are {', '.join(ODDITIES)}"
        raise MailError(message)
    born_at = now - given.received_ago_secs
    numbers = range(first_number, first_number + given.count)
    # The instant is part of the name, so that a simulator started anew does not use a name again.
    return [_mail(given, f"given.{int(now * 1000)}.{number}", born_at) for number in numbers]


def _mail(given: _GivenMail, uid: str, born_at: float) -> Mail:
    steps = sorted((_step(step) for step in given.life), key=lambda step: step.after_secs)
    return Mail(
        uid=uid,
        born_at=born_at,
        route=given.route,
        envelope_from=Address(given.sender),
        header_from=Address(given.sender if given.header_from is None else given.header_from),
        to=tuple(Address(recipient) for recipient in given.to),
        subject=None if given.subject is None else given.subject.replace("{n}", uid.rpartition(".")[2]),
        sender_ip=given.sender_ip,
        attachments=given.attachments,
        size=given.size,
        spam_score=given.spam_score,
        detection_level=given.detection_level,
        oddity=given.oddity,
        queue_states=tuple(_queue_state(step, born_at) for step in steps if step.queue is not None),
        finder_states=tuple(
            FinderState(born_at + step.after_secs, "" if step.status == "gone" else step.status, step.info)
            for step in steps
            if step.status is not None
        ),
    )


def _step(step: tuple[float, str] | _Step) -> _Step:
    if isinstance(step, _Step):
        return step
    after_secs, word = step
    if word in QUEUES:
        return _Step(after_secs, queue=word)
    return _Step(after_secs, queue="") if word == "left" else _Step(after_secs, status=word)


def _queue_state(step: _Step, born_at: float) -> QueueState:
    at = born_at + step.after_secs
    return QueueState(
        at=at,
        queue="" if step.queue in {None, "left"} else str(step.queue),
        attempts=step.attempts,
        info=step.info,
        locked_until=None if step.locked_for_secs is None else int(at + step.locked_for_secs),
        next_attempt=int(at + 60),
    )
