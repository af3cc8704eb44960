"""Taking a body apart as Splunk does: JSON values one after the other, the first bad one ends it."""

import json
import re
from collections.abc import Iterator

import msgspec

from tests.fakes.hec.answers import Refused
from tests.fakes.hec.indexer import Envelope

_KNOWN = {"time", "host", "source", "sourcetype", "index", "fields", "event"}
_SECONDS = re.compile(rb"-?\d{1,11}(\.\d{1,9})?")
_DECODER = json.JSONDecoder()


def envelopes(body: bytes, indexes: set[str]) -> Iterator[Envelope]:
    """Give the events in turn; raises Refused, with the event's number, where one cannot be taken.

    ``indexes`` are those the token may write to, empty for any.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Refused(6, 0) from error
    position, number = 0, 0
    while rest := text[position:].lstrip():
        start = len(text) - len(rest)
        try:
            _, position = _DECODER.raw_decode(text, start)
            envelope = msgspec.json.decode(text[start:position], type=Envelope)
        except (ValueError, msgspec.DecodeError) as error:  # an array is no envelope either
            raise Refused(6, number) from error
        _check(envelope, number)
        index = msgspec.json.decode(envelope.get("index", b'"main"'))
        if indexes and index not in indexes:
            raise Refused(7, number + 1)
        yield envelope
        number += 1


def _check(envelope: Envelope, number: int) -> None:
    texts = [envelope[key] for key in ("host", "source", "sourcetype", "index") if key in envelope]
    if not set(envelope) <= _KNOWN or any(bytes(text)[:1] != b'"' for text in texts):
        raise Refused(6, number)
    if not _SECONDS.fullmatch(bytes(envelope.get("time", b"0"))):
        raise Refused(15, number)
    try:
        msgspec.json.decode(envelope.get("fields", b"{}"), type=dict[str, str | list[str]])
    except msgspec.ValidationError as error:
        raise Refused(15, number) from error
    if "event" not in envelope:
        raise Refused(12, number)
    event = msgspec.json.decode(envelope["event"])
    if event is None or (isinstance(event, str) and not event.strip()):
        raise Refused(13, number)
