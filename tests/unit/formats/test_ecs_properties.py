"""Whatever a native event says can be read back out of its ECS document."""

import json
from typing import Any

from hypothesis import given, settings

from mcwatch.formats.ecs import EcsFormatConfig
from tests.unit.formats import native
from tests.unit.formats.ecs_schema import problems
from tests.unit.formats.strategies import events

FORMAT = EcsFormatConfig().build()
# Under `mimecast` the native names stand, and most of the native values.
_UNCHANGED = (
    "key", "status", "info", "route", "attachments", "sent_at", "spam_score", "detection_level", "size", "attempts",
    "created_at", "next_attempt_at", "locked_until", "priority",
)  # fmt: skip


@settings(max_examples=25)
@given(events())
def test_round_trip(event: dict[str, Any]) -> None:
    """Texts, numbers, times and objects come back as they were; what was missing is missing."""
    document = json.loads(FORMAT.render(native.lines(event))[0])
    message, mimecast, email = event["message"], document["mimecast"], document["email"]
    assert {name: message[name] for name in _UNCHANGED if name in message} == {
        name: mimecast[name] for name in _UNCHANGED if name in mimecast
    }
    assert message["id"] == email.get("local_id")
    assert message.get("subject") == email.get("subject")
    assert (message.get("sender_ip") or None) == document.get("source", {}).get("address")
    assert message["extra"] == json.loads(mimecast.get("extra", "{}"))
    assert event["previous"] == mimecast.get("previous")
    assert event["queue"] == mimecast.get("queue")
    assert [to["address"] for to in message.get("to", ()) if to["address"]] == email.get("to", {}).get("address", [])


@settings(max_examples=25)
@given(events())
def test_is_ecs(event: dict[str, Any]) -> None:
    """Every event becomes a document of published fields, previous values apart, whose names are the native ones."""
    assert [] == problems(json.loads(FORMAT.render(native.lines({**event, "previous": None}))[0]))
