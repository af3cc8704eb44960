"""Rows as the two endpoints write them, in their usual and in their unusual spelling."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import shake_256
from typing import Final

from mcwatch.simulator.ledger import Sighting
from mcwatch.simulator.mail import Address
from mcwatch.simulator.times import to_api
from mcwatch.simulator.world import Entry, Row

RowObject = dict[str, object]


class Writer:
    """Writes one account's rows, each with the sighting that says what was shown."""

    def __init__(self, account: str, seed: int) -> None:
        self._account = account
        self._salt = f"{seed}|{account}"

    def finder_row(self, row: Row, poll: int | None) -> tuple[RowObject, Sighting]:
        """Write a row of the finder (reference notes §G); a poll number makes its id differ from poll to poll."""
        mail, state = row
        identity = self._id("finder", mail.uid, state.status, poll, 246 + mail.size % 24)
        written: RowObject = {
            "id": identity,
            "status": state.status,
            "info": state.info or "",
            "received": to_api(mail.received),
            "sent": to_api(_sent(row)),
            "fromEnv": _address(mail.envelope_from),
            "fromHdr": _address(mail.header_from),
            "to": [_recipient(recipient) for recipient in mail.to],
            "senderIP": mail.sender_ip,
            "route": mail.route,
            "attachments": mail.attachments,
            "spamScore": mail.spam_score,
            "detectionLevel": mail.detection_level,
        }
        if mail.subject is not None:
            written["subject"] = mail.subject
        if state.status == "rejected":
            # Rejected rows lack the flag; at the envelope there is no header yet.
            del written["attachments"]
            if not mail.queue_states:
                written["fromHdr"] = {"displayableName": "", "emailAddress": ""}
        _respell(written, mail.oddity)
        sighting = Sighting(
            account=self._account,
            source="message_finder",
            id=identity,
            received=mail.received,
            status=state.status,
            info=_shown_text(written.get("info")),
        )
        return written, sighting

    def queue_entry(self, entry: Entry) -> tuple[RowObject, Sighting]:
        """Write an entry of the processing queue (reference notes §F)."""
        mail, state = entry
        identity = self._id("queue", mail.uid, "", None, 264 + mail.size % 34)
        recipients = [_recipient(recipient) for recipient in mail.to]
        written: RowObject = {
            "id": identity,
            "fromEnv": _address(mail.envelope_from),
            "fromHeader": _address(mail.header_from),
            # One recipient per entry is the rule, an array is to be accepted.
            "to": recipients[0] if len(recipients) == 1 else recipients,
            "attachment": mail.attachments,
            "routing": mail.route,
            "size": mail.size,
            "remoteIp": mail.sender_ip,
            "attempts": state.attempts,
            "created": to_api(mail.received),
            "priority": "normal",
        }
        if mail.subject is not None:
            written["subject"] = mail.subject
        if state.info is not None:
            written["info"] = state.info
        if state.next_attempt is not None:
            written["nextAttempt"] = to_api(state.next_attempt)
        if state.locked_until is not None:
            written["lockedUntil"] = to_api(state.locked_until)
        _respell(written, mail.oddity)
        sighting = Sighting(
            account=self._account,
            source="processing_queue",
            id=identity,
            received=mail.received,
            info=_shown_text(written.get("info")),
            queue=state.queue,
            attempts=state.attempts,
            locked_until=state.locked_until,
        )
        return written, sighting

    def _id(self, feed: str, uid: str, status: str, poll: int | None, size: int) -> str:
        # Real ids are compressed and encrypted state: all alike at the beginning, opaque, and long.
        digest = shake_256(f"{self._salt}|{feed}|{uid}|{status}|{poll}".encode()).digest(size)
        return "eNp" + urlsafe_b64encode(digest).decode().rstrip("=")


def _sent(row: Row) -> int:
    mail, state = row
    return mail.received + mail.size % 7 if state.status in {"archived", "delivery"} else mail.received


def _address(address: Address) -> RowObject:
    if address.name:
        return {"displayableName": address.name, "emailAddress": address.address}
    return {"emailAddress": address.address}


def _recipient(address: Address) -> RowObject:
    return {"displayableName": address.name, "emailAddress": address.address}


def _shown_text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _numbers_as_text(written: RowObject) -> None:
    for key, value in written.items():
        if isinstance(value, int) and not isinstance(value, bool):
            written[key] = str(value)


def _floats(written: RowObject) -> None:
    for key in ("spamScore", "size"):
        value = written.get(key)
        if isinstance(value, int):
            written[key] = float(value)


def _to_as_object(written: RowObject) -> None:
    recipients = written["to"]
    if isinstance(recipients, list):
        if len(recipients) == 1:
            written["to"] = recipients[0]
    else:
        written["to"] = [recipients]


def _other_keys(written: RowObject) -> None:
    if "remoteIp" in written:
        written["remoteIP"] = written.pop("remoteIp")
    for key in ("fromHdr", "fromHeader"):
        address = written.get(key)
        if isinstance(address, dict) and "displayableName" in address:
            address["displayName"] = address.pop("displayableName")


def _nulls(written: RowObject) -> None:
    for key in ("subject", "info", "detectionLevel", "priority", "nextAttempt", "attachments", "attachment"):
        if key in written:
            written[key] = None


def _unknown_keys(written: RowObject) -> None:
    written["tenantHint"] = "blue"
    written["processing"] = {"node": 7, "steps": ["av", "dlp"], "nested": {"deep": None}}
    written["x-future"] = 12.5


_SPELLINGS: Final[dict[str, Callable[[RowObject], None]]] = {
    "numbers_as_text": _numbers_as_text,
    "to_as_object": _to_as_object,
    "other_keys": _other_keys,
    "nulls": _nulls,
    "unknown_keys": _unknown_keys,
    "floats": _floats,
}


def _respell(written: RowObject, oddity: str) -> None:
    if oddity:
        _SPELLINGS[oddity](written)
