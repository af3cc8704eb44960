"""What a redaction takes out, what it leaves, and what it refuses."""

import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from mcwatch.domain.errors import ConfigError, PermanentError
from mcwatch.domain.event import EVENT_ID_AT, Event, Message
from mcwatch.domain.redaction import Redaction, _Event, _Message
from mcwatch.domain.redaction_rules import FIELDS, Action
from mcwatch.formats.base import NativeEvent
from mcwatch.sources.lenient import SPELLINGS

KEY = b"a key of thirty-two bytes or more"
MESSAGE: dict[str, Any] = {
    "id": "eNp1",
    "key": "91ab" * 8,
    "status": "held",
    "info": "Message Hold Applied",
    "subject": "Quarter update",
    "route": "inbound",
    "from_envelope": {"address": "bounce@news.example"},
    "from_header": {"address": "News@News.example", "name": "News"},
    "to": [{"address": "amy@corp.example"}, {"address": "bob@corp.example", "name": "Bob"}],
    "sender_ip": "198.51.100.7",
    "attachments": False,
    "received_at": "2026-01-05T09:29:02Z",
    "spam_score": 6,
}


def line(previous: dict[str, Any] | None = None, **fields: object) -> bytes:
    """Return a native event; ``fields`` replace those of its message."""
    document = {
        "schema": "mcwatch.event/1",
        "event_id": "6f0c" * 8,
        "kind": "message.seen",
        "account": "acme",
        "source": "message_finder",
        "occurred_at": "2026-01-05T09:29:02Z",
        "observed_at": "2026-01-05T09:30:00.412Z",
        "message": MESSAGE | fields,
        "previous": previous,
        "queue": {"type": "processing", "polls": 3},
    }
    return msgspec.json.encode(document)


def redacted(native: bytes, fields: dict[str, str] | None = None, key: bytes = KEY) -> dict[str, Any]:
    """Return the event that a destination with these fields sees."""
    return read(redaction(fields, key), native)


def redaction(fields: dict[str, str] | None = None, key: bytes = KEY) -> Redaction:
    """Return the redaction that a configuration's fields make."""
    named = fields or {}
    rules = {field: Action(action) for field, action in named.items() if action != "keep"}
    return Redaction(key, rules, [field for field, action in named.items() if action == "keep"])


def read(rule: Redaction, native: bytes) -> dict[str, Any]:
    """Return one event redacted."""
    [found] = rule.apply([native])
    document: dict[str, Any] = msgspec.json.decode(found)
    return document


def hashed(text: str) -> str:
    """Return the hash as anybody with the key computes it."""
    return hmac.new(KEY, text.encode(), "sha256").hexdigest()[:32]


def test_without_rules_ids_are_hashed_and_free_text_is_gone() -> None:
    """The id and key are hashed, info, extra and previous dropped, all else is as it was, byte for byte."""
    native = line(previous={"status": "accepted"}, extra={"x": 1})
    document = msgspec.json.decode(native)
    document["message"] = {name: value for name, value in MESSAGE.items() if name != "info"}
    document["message"] |= {"id": hashed("eNp1"), "key": hashed("91ab" * 8)}
    document["previous"] = None
    assert [msgspec.json.encode(document)] == redaction().apply([native])


def test_the_contracts_example() -> None:
    """A subject dropped, a sender hashed, recipients cut to their domains."""
    fields = {"subject": "drop", "from_header.address": "hash", "to.address": "domain"}
    message = redacted(line(), fields)["message"]
    assert "subject" not in message
    assert {"address": hashed("news@news.example"), "name": "News"} == message["from_header"]
    assert {"address": "bounce@news.example"} == message["from_envelope"]
    assert [{"address": "corp.example"}, {"address": "corp.example", "name": "Bob"}] == message["to"]


@pytest.mark.parametrize("key", [b"k", KEY, b"k" * 64, b"k" * 65, b"\0\xff" * 100])
def test_a_hash_is_an_hmac(key: bytes) -> None:
    """Keys of every length give what the standard library's HMAC gives."""
    expected = hmac.new(key, b"Quarter update", hashlib.sha256).hexdigest()[:32]
    assert expected == redacted(line(), {"subject": "hash"}, key)["message"]["subject"]


def test_equal_addresses_are_joinable() -> None:
    """One address has one hash in every field and spelling, and another one under another key."""
    fields = {f"{field}.address": "hash" for field in ("from_envelope", "from_header", "to")}
    native = line(
        from_envelope={"address": "AMY@corp.example"},
        from_header={"address": "amy@Corp.Example"},
        to=[{"address": "amy@corp.example"}],
    )
    message = redacted(native, fields)["message"]
    expected = {"address": hashed("amy@corp.example")}
    assert [expected] * 3 == [message["from_envelope"], message["from_header"], *message["to"]]
    assert expected != redacted(native, fields, b"another key")["message"]["from_envelope"]


@pytest.mark.parametrize(
    ("spelled", "canonical"),
    [
        ("198.51.100.7", "198.51.100.7"),
        (" 198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("255.255.255.256", "255.255.255.256"),
        ("198.51.100.7\n", "198.51.100.7"),
        ("not an address", "not an address"),
    ],
)
def test_an_ip_has_one_hash_however_it_is_written(spelled: str, canonical: str) -> None:
    """IP addresses are hashed in canonical form, anything else as it stands."""
    assert hashed(canonical) == redacted(line(sender_ip=spelled), {"sender_ip": "hash"})["message"]["sender_ip"]


@pytest.mark.parametrize(
    ("address", "left"),
    [
        ("amy@corp.example", "corp.example"),
        ("Amy@Corp.Example", "corp.example"),
        ('"a@b"@corp.example', "corp.example"),
        ("Amy Smith <amy@corp.example>", "corp.example"),
        ("amy@bücher.example", "bücher.example"),
        ("amy@corp.example.", "corp.example."),
        ("amy", None),
        ("", None),
        (None, None),
        ("amy@", None),
        ("amy@corp.example (Amy Smith)", None),
        ("amy@Amy Smith", None),
        ("amy@[198.51.100.7]", None),
        ("amy@corp.example\nBcc: x", None),
    ],
)
def test_a_domain_is_what_follows_the_last_at(address: str | None, left: str | None) -> None:
    """The host name stays; nothing does where there is none, and the object left empty goes."""
    message = redacted(line(from_header={"address": address}), {"from_header.address": "domain"})["message"]
    assert (None if left is None else {"address": left}) == message.get("from_header")


def test_an_address_left_empty_is_gone() -> None:
    """What has neither address nor name any more leaves no object behind, and a list of those no list."""
    both = {"to.address": "drop", "from_header.name": "drop", "from_header.address": "drop"}
    message = redacted(line(), both)["message"]
    assert [{"name": "Bob"}] == message["to"]
    assert "from_header" not in message
    assert "to" not in redacted(line(), {"to.address": "drop", "to.name": "drop"})["message"]


def test_names_and_addresses_have_rules_of_their_own() -> None:
    """A dropped name leaves the address, and the other way round."""
    assert {"address": "News@News.example"} == redacted(line(), {"from_header.name": "drop"})["message"]["from_header"]
    assert {"name": "News"} == redacted(line(), {"from_header.address": "drop"})["message"]["from_header"]
    assert hashed("News") == redacted(line(), {"from_header.name": "hash"})["message"]["from_header"]["name"]


def test_info_stays_or_is_hashed_when_named() -> None:
    """What is left out unless named can be named."""
    assert "Message Hold Applied" == redacted(line(), {"info": "keep"})["message"]["info"]
    assert hashed("Message Hold Applied") == redacted(line(), {"info": "hash"})["message"]["info"]


EXTRA = {"n": 1, "t": "text", "o": {"b": [1], "a": None}, "Subject": ["odd"], "fromHdr": {"x": 1}, "senderIP": 7}


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"extra": "drop"}, None),
        ({"extra": "keep"}, EXTRA),
        ({"extra": "keep", "extra.t": "drop"}, {name: value for name, value in EXTRA.items() if name != "t"}),
        ({"extra.t": "keep"}, {"t": "text"}),
        ({"extra.t": "keep", "extra": "drop"}, {"t": "text"}),
        (
            {"extra.t": "hash", "extra.n": "hash", "extra.o": "hash"},
            {"n": hashed("1"), "t": hashed("text"), "o": hashed('{"a":null,"b":[1]}')},
        ),
        ({"extra.other": "keep"}, None),
        (
            {"extra": "keep", "subject": "hash", "from_header.name": "drop", "sender_ip": "drop"},
            {"n": 1, "t": "text", "o": {"b": [1], "a": None}},
        ),
        ({"extra": "keep", "subject": "drop", "extra.Subject": "keep"}, EXTRA),
    ],
)
def test_extra_key_by_key(fields: dict[str, str], left: dict[str, object] | None) -> None:
    """The more exact name decides, and values that did not fit a redacted field do not come in through here."""
    assert left == redacted(line(extra=EXTRA), fields)["message"].get("extra")


def test_the_apis_names_of_redacted_fields_are_complete() -> None:
    """Every spelling that the tolerant reading knows for a field with rules is kept out of ``extra``."""
    extra = dict.fromkeys(SPELLINGS, "leak")
    drop_all = {field: "drop" for field, actions in FIELDS.items() if "hash" in actions}
    left = redacted(line(extra=extra), {"extra": "keep"} | drop_all)["message"]["extra"]
    ruled = {"id", "info", "subject", "from_envelope", "from_header", "to", "sender_ip"}
    assert {name for name, ours in SPELLINGS.items() if ours not in ruled} == set(left)


def test_the_rules_hold_inside_previous() -> None:
    """A kept previous has its id hashed, its info dropped, and what else was redacted in the message."""
    before = {"id": "eNp0", "status": "accepted", "info": "Held", "attempts": 1, "subject": "S", "unheard_of": "x"}
    kept = {"previous": "keep"}
    expected = {"id": hashed("eNp0"), "status": "accepted", "attempts": 1}
    assert expected | {"subject": "S"} == redacted(line(before), kept)["previous"]
    assert expected == redacted(line(before), kept | {"subject": "drop"})["previous"]
    assert expected | {"info": "Held", "subject": "S"} == redacted(line(before), kept | {"info": "keep"})["previous"]
    assert {"id": None, "status": None} == redacted(line({"id": None, "status": None}), kept)["previous"]
    assert redacted(line(None), kept)["previous"] is None
    assert redacted(line({"info": "Held"}), kept)["previous"] is None


def test_fields_nobody_knows_do_not_pass() -> None:
    """A field added to events later stays in until somebody says what it is."""
    native = line(unheard_of="x").replace(b'"schema"', b'"secret":"x","schema"')
    assert (False, False) == ("secret" in redacted(native), "unheard_of" in redacted(native)["message"])
    assert Message.__struct_fields__ == _Message.__struct_fields__
    assert Event.__struct_fields__ == _Event.__struct_fields__ == NativeEvent.__struct_fields__


def test_the_event_id_stays_where_it_is() -> None:
    """Receivers dedupe on it, and the store reads it by its place."""
    [found] = redaction({"subject": "drop"}).apply([line()])
    assert b"6f0c" * 8 == found[EVENT_ID_AT]


def test_nulls_and_empty_texts_stay() -> None:
    """There is nothing in them to hide, unless the field is dropped."""
    native = line(id=None, subject="", to=[], from_header=None)
    hash_all = {"subject": "hash", "to.address": "hash", "from_header.address": "hash"}
    message = redacted(native, hash_all)["message"]
    assert (None, "", [], None) == (message["id"], message["subject"], message["to"], message["from_header"])
    assert "subject" not in redacted(native, {"subject": "drop"})["message"]


def test_the_name_tells_rules_and_keys_apart() -> None:
    """It is the same for the same rules in any order, another for other rules or keys, and holds nothing of the key."""
    one = redaction({"subject": "drop", "to.address": "hash"})
    assert one.name == redaction({"to.address": "hash", "subject": "drop"}).name
    others = [redaction(), redaction({"subject": "hash", "to.address": "hash"}), redaction({"info": "keep"})]
    others += [redaction({"subject": "drop", "to.address": "hash"}, b"other")]
    assert 5 == len({one.name, *(other.name for other in others)})
    assert KEY.hex() not in one.name


def test_a_rule_beats_keep() -> None:
    """Where both name a field, nothing is shown."""
    [found] = Redaction(KEY, {"subject": Action.DROP}, ["subject"]).apply([line()])
    assert b"Quarter" not in found


@pytest.mark.parametrize(
    ("field", "action", "told"),
    [
        ("subjct", "drop", "did you mean subject?"),
        ("from_hdr.address", "drop", "did you mean from_header.address?"),
        ("received_at", "drop", "the fields are subject, "),
        ("extra.", "drop", "did you mean extra?"),
        ("id", "hash", "id is always hashed"),
        ("key", "drop", "key is always hashed"),
        ("subject", "domain", "domain is for addresses alone; choose drop or hash or keep"),
        ("to.name", "domain", "domain is for addresses alone"),
        ("extra.x", "domain", "domain is for addresses alone"),
        ("extra", "hash", "choose drop or keep"),
        ("previous", "hash", "choose drop or keep"),
    ],
)
def test_rules_that_cannot_be(field: str, action: str, told: str) -> None:
    """A rule without meaning is refused in words that name the field and what to write."""
    with pytest.raises(ConfigError) as failure:
        redaction({field: action})
    assert told in str(failure.value)
    assert field in str(failure.value)


def test_an_empty_key_is_refused() -> None:
    """Hashes without a key can be computed by anybody."""
    with pytest.raises(ConfigError, match="key of the redaction is empty"):
        Redaction(b"", {})


@pytest.mark.parametrize("native", [b"", b"[]", b"{}", b'{"message":', line()[:-1], line(subject=7), b'{"a":"\xff"}'])
def test_what_is_no_event_is_not_let_through(native: bytes) -> None:
    """The error says so, quotes nothing and keeps no cause that does."""
    with pytest.raises(PermanentError) as failure:
        redaction().apply([line(), native])
    assert failure.value.__cause__ is None
    assert "Quarter" not in str(failure.value)
