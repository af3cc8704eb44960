"""Elastic Common Schema."""

import json
from typing import Any

import pytest

from mcwatch.formats.ecs import EcsFormatConfig
from tests.unit.formats import native
from tests.unit.formats.ecs_schema import SCHEMA, problems


def render(event: dict[str, Any]) -> dict[str, Any]:
    """Return the document of an event."""
    document: dict[str, Any] = json.loads(EcsFormatConfig().build().render(native.lines(event))[0])
    return document


def test_golden_file() -> None:
    """The bytes are those that were once looked at and found right."""
    assert native.snapshot("ecs") == EcsFormatConfig().build().render(native.snapshot("json"))


@pytest.mark.parametrize("event", native.EVENTS.values(), ids=native.EVENTS)
def test_documents_are_ecs(event: dict[str, Any]) -> None:
    """Every document has but fields that ECS publishes, of their types, and its own under ``mimecast``."""
    assert [] == problems(render(event))


def test_golden_file_is_ecs() -> None:
    """So are the documents of the golden file."""
    assert [] == [problem for line in native.snapshot("ecs") for problem in problems(json.loads(line))]


def test_schema_refuses_what_is_not_ecs() -> None:
    """The check that the documents pass is one that can fail."""
    document = render(native.FULL)
    document["email"]["subjekt"] = "x"
    document["email"]["to"]["address"] = "not a list"
    document["source"]["ip"] = "198.51.100.256"
    document["event"]["kind"] = "mail"
    document["a.b"] = 1
    assert 6 == len(problems(document))


def test_version_is_that_of_the_schema() -> None:
    """A document names the version that it was checked against."""
    assert {"version": SCHEMA["version"]} == render(native.BARE)["ecs"]


@pytest.mark.parametrize("event", native.EVENTS.values(), ids=native.EVENTS)
def test_nothing_is_null(event: dict[str, Any]) -> None:
    """What is missing stays missing, in the document as in the event; only former values may be null."""
    document = render(event)
    document["mimecast"].pop("previous", None)
    assert "null" not in json.dumps(_values(document))


def _values(value: object) -> object:
    """Return a document with its texts taken out, which may speak of null."""
    if isinstance(value, dict):
        return [_values(inner) for inner in value.values()]
    if isinstance(value, list):
        return [_values(inner) for inner in value]
    return "" if isinstance(value, str) else value


def test_bare_event() -> None:
    """An event that says nothing of its mail makes a document that says nothing of it."""
    assert {
        "@timestamp": native.BARE["occurred_at"],
        "ecs": {"version": SCHEMA["version"]},
        "event": {
            "kind": "event",
            "category": ["email"],
            "type": ["info"],
            "id": native.BARE["event_id"],
            "action": "message.seen",
            "module": "mimecast",
            "dataset": "mimecast.message_finder",
            "provider": "message_finder",
            "created": native.BARE["observed_at"],
        },
        "cloud": {"account": {"name": "acme-account"}},
        "observer": {"vendor": "Mimecast", "product": "Email Security", "type": "email-gateway"},
        "email": {},
        "mimecast": {"schema": "mcwatch.event/1", "key": native.BARE["message"]["key"]},
    } == render(native.BARE)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("accepted", "success"), ("archived", "success"), ("rejected", "failure"), ("bounced", "failure")]
    + [(status, "unknown") for status in ("held", "deferred", "processing", "new in 2030")],
)
def test_outcome_follows_the_status(status: str, outcome: str) -> None:
    """Mail that Mimecast took is a success, refused or bounced mail a failure; otherwise it is open."""
    assert outcome == render(native.full(status=status))["event"]["outcome"]


@pytest.mark.parametrize("route", native.ROUTES)
def test_direction_is_the_route(route: str) -> None:
    """The four known routes are directions."""
    assert route == render(native.full(route=route))["email"]["direction"]


def test_unknown_route_is_no_direction() -> None:
    """Another route is kept, and nothing is said of the direction."""
    document = render(native.FULL)
    assert "direction" not in document["email"]
    assert "route-of-its-own" == document["mimecast"]["route"]


@pytest.mark.parametrize("text", ["2001:db8::25", "::ffff:198.51.100.7", "198.51.100.7"])
def test_valid_ip(text: str) -> None:
    """A valid address can be searched as one."""
    document = render(native.full(sender_ip=text))
    assert {"address": text, "ip": text} == document["source"]
    assert [text] == document["related"]["ip"]


@pytest.mark.parametrize(
    "text", ["198.51.100.256", "198.51.100.07", "198.51.100.7\n", "fe80::1%eth0", "1.2.3", native.digest("ip"), "::g"]
)
def test_invalid_ip_stays_text(text: str) -> None:
    """What Elasticsearch would refuse as an address is kept as text alone."""
    document = render(native.full(sender_ip=text))
    assert {"address": text} == document["source"]
    assert "ip" not in document["related"]


def test_related() -> None:
    """Addresses and their domains can be pivoted on, each named once."""
    document = render(
        native.bare(
            from_envelope={"address": "<>"},
            from_header={"address": "amy@corp.example"},
            to=[{"address": "amy@corp.example"}, {"address": "bob@corp.example"}, {"address": ""}, {"address": None}],
        )
    )
    assert {"user": ["amy@corp.example", "bob@corp.example"], "hosts": ["corp.example"]} == document["related"]
    assert {"address": ["amy@corp.example", "bob@corp.example"]} == document["email"]["to"]


def test_redacted_related() -> None:
    """A digest still joins as a user, a bare domain as a host; neither is an IP address."""
    related = render(native.redacted())["related"]
    assert {"user": [native.digest("envelope"), native.digest("first")], "hosts": ["two.example", "four.example"]} == (
        related
    )


def test_names_keep_their_addresses() -> None:
    """Where a recipient has a name, all recipients stand together as they came."""
    assert native.FULL["message"]["to"] == render(native.FULL)["mimecast"]["to"]
    assert "to" not in render(native.full(to=[{"address": "amy@corp.example"}]))["mimecast"]


def test_unknown_fields_are_text() -> None:
    """Whatever the API adds, its type in the mapping is text, so no document is refused for it."""
    extra = {"a.b": 1, "": [{"deep": None}], "n": "x"}
    assert extra == json.loads(render(native.full(extra=extra))["mimecast"]["extra"])


@pytest.mark.parametrize("text", native.HOSTILE_TEXTS)
def test_hostile_text_survives(text: str) -> None:
    """What attackers write is read back as they wrote it."""
    document = render(native.hostile(text))
    assert text == document["email"]["subject"]
    assert text == document["email"]["local_id"]
    assert [f"{text}@evil.example"] == document["email"]["from"]["address"]
    assert text == document["mimecast"]["from_header"]["name"]
    assert text == document["mimecast"]["to"][0]["name"]
