"""Splunk CIM Email, read back with the standard library's JSON parser."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from mcwatch.formats import FormatConfig
from mcwatch.formats.cim import PLACES, CimFormatConfig
from tests.unit.formats import native

MODEL = frozenset(
    (
        "action delay dest file_hash file_name file_size internal_message_id message_id message_info orig_dest "
        "orig_recipient orig_src process process_id protocol recipient recipient_count recipient_domain "
        "recipient_status response_time retries return_addr size src src_user src_user_domain status_code subject url "
        "user vendor_product xdelay xref filter_action filter_score signature signature_extra signature_id"
    ).split()
)
"""The fields of the data model Email: All_Email and Filtering."""

OWN = frozenset("timestamp event_id kind account observed_at direction".split())
"""What stands beside the model under plain names."""


def _document(event: dict[str, Any]) -> dict[str, Any]:
    found = json.loads(CimFormatConfig().build().render(native.lines(event))[0])
    assert isinstance(found, dict)
    return found


def _said(**message: object) -> dict[str, Any]:
    """Return what a document says beyond that of a bare event."""
    bare = _document(native.BARE)
    return {key: value for key, value in _document(native.bare(**message)).items() if key not in bare}


def test_golden_file() -> None:
    """The bytes of every kind of event are as reviewed."""
    assert native.snapshot("cim") == list(CimFormatConfig().build().render(native.snapshot("json")))


def test_what_is_missing_stays_missing() -> None:
    """An event that says nothing has no fields but those that every event has, and no nulls."""
    assert {
        "timestamp": native.BARE["occurred_at"],
        "event_id": native.BARE["event_id"],
        "kind": "message.seen",
        "account": native.BARE["account"],
        "observed_at": native.BARE["observed_at"],
        "mimecast_source": "message_finder",
        "mimecast_key": native.BARE["message"]["key"],
        "vendor_product": "Mimecast Email Security",
    } == _document(native.BARE)


def test_every_field_is_of_the_model_or_marked() -> None:
    """What is neither the model's nor one of a few plain names starts with ``mimecast_``: it collides with nothing."""
    names = _document(native.full(status="held")).keys()
    assert [] == [name for name in names if name not in MODEL | OWN and not name.startswith("mimecast_")]


def test_nothing_is_named_like_a_default_field_of_splunk() -> None:
    """Splunk's own fields are not hidden by fields of the event."""
    assert not {"host", "source", "sourcetype", "index", "time", "_time", "tag"} & _document(native.FULL).keys()


def test_every_field_is_declared() -> None:
    """The fields of a full event are the declared ones; the one left needs what is no IP address."""
    declared = {place for places in PLACES.values() for place in places.split(", ") if place}
    held, other = _document(native.full(status="held")), _document(native.full(sender_ip="x"))
    assert declared | {"vendor_product"} == held.keys() | other.keys()


def test_lists_and_objects_are_nested_only_where_the_native_event_has_them() -> None:
    """All but the recipients, the unknown fields and what changed is flat."""
    nested = {key for key, value in _document(native.FULL).items() if isinstance(value, (dict, list))}
    assert {"recipient", "mimecast_to", "mimecast_extra", "mimecast_previous"} == nested


@pytest.mark.parametrize(
    ("status", "action", "filter_action", "signature"),
    [
        ("held", "quarantined", "held", "why"),
        ("rejected", "blocked", "rejected", "why"),
        ("deferred", None, "deferred", "why"),
        ("accepted", None, "accepted", None),
        ("archived", None, None, None),
        ("bounced", None, None, None),
        ("delivery", None, None, None),
        ("processing", None, None, None),
        ("system", None, None, None),
        ("Held", None, None, None),
        (None, None, None, None),
    ],
)
def test_actions_are_what_the_status_says(
    status: str | None, action: str | None, filter_action: str | None, signature: str | None
) -> None:
    """A hold and a rejection are actions of the model; archived mail may have bounced, accepted mail may be held."""
    document = _document(native.bare(status=status, info="why"))
    assert (action, filter_action, signature) == tuple(
        document.get(name) for name in ("action", "filter_action", "signature")
    )
    assert (status, "why") == (document.get("mimecast_status"), document["message_info"])


def test_senders() -> None:
    """The envelope's sender is the model's sender and return address; the header's stands beside it."""
    assert {
        "src_user": "bounce@news.example",
        "return_addr": "bounce@news.example",
        "mimecast_from_header_address": "news@news.example",
        "mimecast_from_header_name": "News",
    } == _said(
        from_envelope={"address": "bounce@news.example"}, from_header={"address": "news@news.example", "name": "News"}
    )


def test_recipients_are_a_list() -> None:
    """Many recipients are many values of one field, and counted."""
    to = [{"address": "amy@corp.example"}, {"address": "bo@corp.example"}]
    assert {"recipient": ["amy@corp.example", "bo@corp.example"], "recipient_count": 2} == _said(to=to)


def test_recipients_with_names_are_spelled_out_too() -> None:
    """Names, and recipients without an address, stand beside the list of addresses."""
    to = [{"address": "amy@corp.example", "name": "Amy"}, {"name": "Nobody"}]
    assert {"recipient": ["amy@corp.example"], "recipient_count": 2, "mimecast_to": to} == _said(to=to)


def test_no_recipients_are_counted() -> None:
    """An empty list is an answer, a missing one is none."""
    assert {"recipient": [], "recipient_count": 0} == _said(to=[])
    assert {} == _said(to=None)


def test_the_mimecast_id_is_not_the_message_id() -> None:
    """The API's id goes to internal_message_id; the Message-ID header is not known."""
    assert {"internal_message_id": "eNp"} == _said(id="eNp")


@pytest.mark.parametrize(
    ("sender_ip", "name"),
    [("198.51.100.7", "src"), ("2001:db8::25", "src"), ("4" * 32, "mimecast_sender_ip"), ("x", "mimecast_sender_ip")],
)
def test_only_addresses_stand_in_src(sender_ip: str, name: str) -> None:
    """Both kinds of IP address go to src, a digest or anything else to a field of text."""
    assert {name: sender_ip} == _said(sender_ip=sender_ip)


def test_delay_is_in_milliseconds() -> None:
    """The model has counted delays in milliseconds since 4.2; the seconds stand beside it under their unit."""
    document = _document({**native.BARE, "queue": {**native.FULL["queue"], "dwell_secs": 28.2504}})
    assert (28250, 28.2504) == (document["delay"], document["mimecast_queue_dwell_secs"])


def test_zero_and_false_are_said() -> None:
    """A score of 0 and a mail without attachments are answers, not gaps."""
    assert {"filter_score": 0, "size": 0, "mimecast_attempts": 0, "mimecast_attachments": False} == _said(
        spam_score=0, size=0, attempts=0, attachments=False
    )


@pytest.mark.parametrize("text", native.HOSTILE_TEXTS)
def test_hostile_text_comes_back(text: str) -> None:
    """JSON carries every text whole, control characters as escapes."""
    (payload,) = CimFormatConfig().build().render(native.lines(native.hostile(text)))
    document = json.loads(payload)
    for name in ("subject", "message_info", "mimecast_status", "internal_message_id", "direction"):
        assert text == document[name]
    assert f"{text}@evil.example" == document["src_user"]
    assert {text: text, "nested": {text: [text]}} == document["mimecast_extra"]
    assert [payload.decode()] == payload.decode().splitlines()
    assert not [char for char in payload.decode() if ord(char) < 32 or 127 <= ord(char) < 160]


def test_redacted_events_stay_valid() -> None:
    """Digests and bare domains stand where the addresses were, an IP's digest where text may stand."""
    document = _document(native.redacted())
    assert native.digest("envelope") == document["src_user"] == document["return_addr"]
    assert [native.digest("first"), "four.example"] == document["recipient"]
    assert native.digest("ip") == document["mimecast_sender_ip"]
    assert not {"src", "subject", "message_info", "signature", "mimecast_extra", "mimecast_previous"} & document.keys()


def test_is_chosen_by_its_type() -> None:
    """The union reads ``type: cim`` and builds a format of JSON content."""
    config = TypeAdapter(FormatConfig).validate_python({"type": "cim"})
    assert config.build().content_type == "application/json"
