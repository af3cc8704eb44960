"""The body of a request."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.delivery import Batch
from mcwatch.sinks.splunk_hec.envelope import EnvelopeOptions, Envelopes
from tests.contract.sink_events import HOSTILE_SUBJECTS, batch_of, event, event_document, numbered
from tests.fakes.hec.envelopes import envelopes


def _sent(batch: Batch, **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - the options' types
    body = Envelopes(EnvelopeOptions(**({"host": "h"} | options))).body(batch)
    return [{key: msgspec.json.decode(raw) for key, raw in one.items()} for one in envelopes(body, set())]


def test_an_event_is_an_object_in_an_envelope() -> None:
    """Time, host, source, sourcetype and fields stand beside the event, the index only where one is given."""
    first, second = _sent(numbered(2))
    assert {
        "time": 1767605342.0,
        "host": "h",
        "source": "mcwatch:message_finder",
        "sourcetype": "mcwatch:json",
        "fields": {"event_id": "0" * 32, "kind": "message.seen", "account": "acme"},
        "event": event_document(0),
    } == first
    assert f"{1:032x}" == second["fields"]["event_id"]


def test_events_stand_one_behind_the_other_and_in_no_array() -> None:
    """The body is what every version of HEC takes."""
    body = Envelopes(EnvelopeOptions(host="h")).body(numbered(3))
    assert 3 == len(body.split(b"\n"))
    assert all(line.startswith(b'{"time":1767605342.000,') for line in body.split(b"\n"))


@pytest.mark.parametrize(
    ("occurred_at", "text"),
    [
        ("2026-01-05T09:30:00.412Z", b"1767605400.412"),
        ("2026-01-05T09:30:00.412999Z", b"1767605400.413"),
        ("1970-01-01T00:00:00.00001Z", b"0.000"),
        ("9999-12-31T23:59:59Z", b"253402300799.000"),
    ],
)
def test_time_is_plain_decimal_seconds(occurred_at: str, text: bytes) -> None:
    """Milliseconds, and no scientific notation however small or large."""
    native = msgspec.json.encode(event_document(0) | {"occurred_at": occurred_at})
    body = Envelopes(EnvelopeOptions(host="h")).body(batch_of(native))
    assert body.startswith(b'{"time":' + text + b",")


def test_what_is_configured_is_said() -> None:
    """Source and sourcetype replace the defaults; an account may have an index of its own."""
    mine, other = _sent(
        batch_of(event(0), msgspec.json.encode(event_document(1) | {"account": "globex"})),
        source="s",
        sourcetype="st",
        index="mail",
        indexes={"acme": "mail_acme"},
        has_fields=False,
    )
    assert ("s", "st", "mail_acme") == (mine["source"], mine["sourcetype"], mine["index"])
    assert "mail" == other["index"]
    assert "fields" not in mine


def test_an_account_without_an_index_leaves_it_to_the_token() -> None:
    """Indexes of single accounts say nothing of the others."""
    assert "index" not in _sent(numbered(1), indexes={"globex": "x"})[0]


def test_text_becomes_a_string() -> None:
    """A payload that is not JSON is quoted, bytes that are no text included."""
    payloads = [b'CEF:0|a "b" \\|c\ttab', b"\xff broken"]
    sent = _sent(Batch(numbered(2).native, payloads, "text/plain"))
    assert ['CEF:0|a "b" \\|c\ttab', "� broken"] == [one["event"] for one in sent]
    assert "mcwatch:text" == sent[0]["sourcetype"]


@given(st.lists(st.sampled_from(HOSTILE_SUBJECTS) | st.text(), min_size=1, max_size=5), st.text(min_size=1))
def test_no_content_breaks_out_of_its_envelope(subjects: list[str], word: str) -> None:
    """However subjects, host and account are written, each event arrives as itself."""
    documents = [event_document(number, subject) | {"account": word} for number, subject in enumerate(subjects)]
    natives = [msgspec.json.encode(document) for document in documents]
    sent = _sent(Batch(natives, natives), host=word)
    assert documents == [one["event"] for one in sent]
    assert {word} == {one["host"] for one in sent} | {one["fields"]["account"] for one in sent}
