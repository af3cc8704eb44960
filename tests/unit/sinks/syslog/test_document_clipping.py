"""What goes first when a document of any format is too long."""

import json
from typing import Any

import msgspec

from mcwatch.sinks.syslog.document_clipping import clip_document


def _document(**members: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {
        "@timestamp": "2026-01-05T09:29:02Z",
        "event": {"id": "6f" * 16, "action": "message.seen"},
        "email": {"local_id": "eNp" * 110, "subject": "short", "to": {"address": ["amy@corp.example"]}},
    } | members


def test_what_takes_most_room_goes_first() -> None:
    """One long text is shortened by what is too much, and everything else stays."""
    document = _document(mimecast={"info": "i" * 3000, "route": "inbound"})
    clipped = clip_document(document, 2000)
    assert clipped is not None
    assert len(clipped) == 2000
    found = json.loads(clipped)
    info = found["mimecast"].pop("info")
    assert found == _document(mimecast={"route": "inbound"}) | {"truncated": True}
    assert info == "i" * len(info)


def test_of_everything_long_the_beginning_stays() -> None:
    """Two long members share what there is: neither goes for the other's sake."""
    addresses = [f"{number}@corp.example" for number in range(1000)]
    clipped = clip_document(_document(related={"user": addresses}, reason="r" * 9000), 1500)
    assert clipped is not None
    found = json.loads(clipped)
    assert found["related"]["user"][:3] == addresses[:3]
    assert len(found["reason"]) > 100


def test_what_nobody_knows_goes_first() -> None:
    """Unknown fields are dropped while the rest stays whole."""
    known = _document(mimecast={"info": "i" * 500, "route": "inbound"})
    document = _document(mimecast={"info": "i" * 500, "route": "inbound", "extra": {"a": "b" * 400}})
    clipped = clip_document(document, len(msgspec.json.encode(known)) + 20)
    assert clipped is not None
    assert json.loads(clipped) == known | {"truncated": True}


def test_of_a_long_list_the_first_stay() -> None:
    """A thousand addresses become as many as fit."""
    addresses = [f"{number}@corp.example" for number in range(1000)]
    clipped = clip_document(_document(related={"user": addresses}), 2000)
    assert clipped is not None
    kept = json.loads(clipped)["related"]["user"]
    assert kept == addresses[: len(kept)]
    assert len(clipped) > 1900


def test_ids_outlive_everything_else() -> None:
    """At the tightest limit that works, times and ids are what is left."""
    limit = 500
    clipped = clip_document(_document(a="x" * 900, b=["y" * 90] * 10, c={"d": {"e": {"f": {"g": "z" * 900}}}}), limit)
    assert clipped is not None
    found = json.loads(clipped)
    assert (found["event"]["id"], found["email"]["local_id"]) == ("6f" * 16, "eNp" * 110)


def test_an_id_beyond_reason_goes_like_anything_else() -> None:
    """A member that only calls itself an id cannot keep an event from being sent."""
    clipped = clip_document(_document(unmapped={"x_id": "x" * 5000}), 2000)
    assert clipped is not None
    assert len(json.loads(clipped)["unmapped"]["x_id"]) < 2000


def test_thousands_of_members_are_no_great_work() -> None:
    """The members are looked at once, however many must go."""
    extra = {f"member {number}": "value" for number in range(50_000)}
    clipped = clip_document(_document(unmapped=extra), 4000)
    assert clipped is not None
    assert len(clipped) <= 4000


def test_what_must_stay_may_be_too_long() -> None:
    """Below the size of the ids nothing can be sent."""
    assert clip_document(msgspec.json.decode(msgspec.json.encode(_document())), 300) is None
