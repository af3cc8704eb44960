"""The syslog sink against a real rsyslogd: what it understands of what was sent, over each transport."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import TypeAdapter

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch
from mcwatch.formats import FormatConfig
from tests.contract.sink_events import HOSTILE_SUBJECTS, batch_of, event, event_document, numbered
from tests.integration.rsyslog import Receiver, rsyslogd, sink_to

pytestmark = pytest.mark.integration
_HOSTILE = batch_of(*(event(number, subject) for number, subject in enumerate(HOSTILE_SUBJECTS)))
_FORMATS: TypeAdapter[FormatConfig] = TypeAdapter(FormatConfig)
_Require = Callable[[str], Path]


@pytest.mark.parametrize(
    ("receiver", "options"),
    [
        (Receiver("tcp"), {}),
        (Receiver("tcp"), {"framing": "lf"}),
        (Receiver("udp"), {}),
        (Receiver("tls"), {}),
        (Receiver("tls", "ossl", client_auth=True), {}),
        (Receiver("relp"), {}),
        (Receiver("relp"), {"relp_window": 1}),
        (Receiver("relp+tls", "ossl", client_auth=True), {}),
    ],
    ids=["tcp", "tcp-lf", "udp", "tls-gtls", "tls-ossl", "relp", "relp-window-1", "relp-tls"],
)
async def test_every_event_arrives_once(
    require_program: _Require, tmp_path: Path, receiver: Receiver, options: dict[str, Any]
) -> None:
    """Each event is one message, in order, hostile subjects byte for byte, whatever the transport."""
    batches = [_HOSTILE, *(numbered(40, start=1000 + 40 * number) for number in range(10))]
    sent: list[bytes] = []
    async with rsyslogd(require_program, tmp_path, receiver) as rsyslog, sink_to(rsyslog, **options) as sink:
        for batch in batches:
            assert await sink.deliver(batch) == ALL_ACCEPTED
            sent += batch.payloads
            if receiver.transport == "udp":  # which would not mind losing some
                await rsyslog.received(len(sent))
        messages = await rsyslog.received(len(sent))
        assert [message.msg.encode() for message in messages] == sent
        ids = [message.parsed["mcwatch@32473"]["event_id"] for message in messages]
        assert ids == [json.loads(payload)["event_id"] for payload in sent]


@pytest.mark.parametrize("receiver", [Receiver("tcp"), Receiver("udp"), Receiver("relp")], ids=["lf", "udp", "relp"])
@pytest.mark.parametrize("kind", ["cef", "leef", "ecs"])
async def test_hostile_subjects_forge_no_message_in_any_format(
    require_program: _Require, tmp_path: Path, receiver: Receiver, kind: str
) -> None:
    """One event is one message, with the payload that its format made of it, where a line end would make two."""
    form = _FORMATS.validate_python({"type": kind}).build()
    batch = Batch(_HOSTILE.native, form.render(_HOSTILE.native), form.content_type)
    options = {"framing": "lf"} if receiver.transport == "tcp" else {}
    async with rsyslogd(require_program, tmp_path, receiver) as rsyslog:
        async with sink_to(rsyslog, **options) as sink:
            assert await sink.deliver(batch) == ALL_ACCEPTED
        messages = await rsyslog.received(len(batch))
    assert [message.msg.encode() for message in messages] == list(batch.payloads)
    assert {message.app for message in messages} == {"mcwatch"}


async def test_headers_are_understood(require_program: _Require, tmp_path: Path) -> None:
    """Rsyslogd reads every header field as it was meant, and takes the structured data apart."""
    options = {"hostname": "gateway.example", "app_name": "mcw", "facility": "local3", "enterprise_number": 4711}
    async with rsyslogd(require_program, tmp_path, Receiver("tcp")) as rsyslog:
        async with sink_to(rsyslog, **options) as sink:
            await sink.deliver(numbered(1))
        (message,) = await rsyslog.received(1)
    assert (message.pri, message.time, message.host, message.app, message.procid, message.msgid) == (
        str(19 * 8 + 5),  # held is a notice
        "2026-01-05T09:29:02.000Z",
        "gateway.example",
        "mcw",
        str(os.getpid()),
        "message.seen",
    )
    assert message.data == f'[mcwatch@4711 account="acme" kind="message.seen" event_id="{0:032x}"]'
    assert message.parsed == {"mcwatch@4711": {"account": "acme", "kind": "message.seen", "event_id": f"{0:032x}"}}


async def test_without_structured_data_the_field_is_nil(require_program: _Require, tmp_path: Path) -> None:
    """Who cannot read structured data gets none."""
    async with rsyslogd(require_program, tmp_path, Receiver("tcp")) as rsyslog:
        async with sink_to(rsyslog, structured_data=False) as sink:
            await sink.deliver(numbered(1))
        (message,) = await rsyslog.received(1)
    assert (message.data, message.parsed, json.loads(message.msg)["account"]) == ("-", {}, "acme")


async def test_a_hostile_account_name_is_taken_apart_as_it_was(require_program: _Require, tmp_path: Path) -> None:
    """The three signs that RFC 5424 section 6.3.3 names are escaped, and UTF-8 stays UTF-8."""
    account = 'a"b]c\\d =é\u202e👩'
    payload = msgspec.json.encode(event_document(1) | {"account": account})
    async with rsyslogd(require_program, tmp_path, Receiver("relp")) as rsyslog:
        async with sink_to(rsyslog) as sink:
            await sink.deliver(batch_of(payload))
        (message,) = await rsyslog.received(1)
    assert message.parsed["mcwatch@32473"] == {"account": account, "kind": "message.seen", "event_id": f"{1:032x}"}
    assert message.msg.encode() == payload


@pytest.mark.parametrize(
    ("status", "severity"),
    [("held", "notice"), ("rejected", "notice"), ("deferred", "notice"), ("bounced", "warning"), ("archived", "info")],
)
async def test_the_severity_says_what_became_of_the_mail(
    require_program: _Require, tmp_path: Path, status: str, severity: str
) -> None:
    """Mail that was stopped or did not get through stands out."""
    document = event_document(1)
    document["message"]["status"] = status
    async with rsyslogd(require_program, tmp_path, Receiver("tcp")) as rsyslog:
        async with sink_to(rsyslog) as sink:
            await sink.deliver(batch_of(msgspec.json.encode(document)))
        (message,) = await rsyslog.received(1)
    assert message.severity == severity


async def test_a_clipped_event_is_still_json(require_program: _Require, tmp_path: Path) -> None:
    """An event over the limit arrives as JSON that says that it was shortened."""
    async with rsyslogd(require_program, tmp_path, Receiver("udp")) as rsyslog:
        async with sink_to(rsyslog, max_message="2KiB") as sink:
            assert await sink.deliver(batch_of(event(7, "é" * 4000))) == ALL_ACCEPTED
        (message,) = await rsyslog.received(1)
    document = json.loads(message.msg)
    assert (document["truncated"], document["event_id"], document["message"]["id"]) == (True, f"{7:032x}", "eNp7")
