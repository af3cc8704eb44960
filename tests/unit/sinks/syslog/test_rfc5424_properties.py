"""Headers and frames, parsed back."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.delivery import EventHead, MessageHead
from mcwatch.sinks.syslog.rfc5424 import Facility, Header, Origin, Severity, lf_framed, neutralised, octet_counted
from tests.contract.sink_targets.syslog import lf_messages, octet_counted_messages

_HEADER = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) "
    rb"([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) (.*) ",
    re.DOTALL,
)
_PARAM = re.compile(r' ([^ =\]"]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"')
_OFFSETS = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
_HEADS = st.builds(
    EventHead,
    event_id=st.text(),
    kind=st.text(),
    account=st.text(),
    source=st.text(),
    occurred_at=st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 1, 1), timezones=_OFFSETS),  # noqa: DTZ001 - hypothesis adds the zone
    observed_at=st.just(datetime(2026, 1, 5, tzinfo=UTC)),
    message=st.builds(MessageHead, status=st.none() | st.text()),
)
_ORIGINS = st.builds(
    Origin, facility=st.sampled_from(Facility), hostname=st.text(max_size=300), app_name=st.text(max_size=60),
    procid=st.text(max_size=140),
)  # fmt: skip
_PAYLOADS = st.binary(max_size=300) | st.text().map(str.encode)


@given(_HEADS, _ORIGINS)
def test_a_header_is_what_the_rfc_says(head: EventHead, origin: Origin) -> None:
    """Whatever text goes in, the header has its fields, in ASCII, within their limits, and the moment is right."""
    match = _HEADER.fullmatch(Header(origin, {}, None).write(head))
    assert match is not None
    assert match[7] == b"-"
    assert int(match[1]) == origin.facility * 8 + 6
    moment = head.occurred_at.astimezone(UTC)
    assert datetime.fromisoformat(match[2].decode()) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@given(_HEADS, _ORIGINS, st.integers(1, 2**32 - 1))
def test_structured_data_says_what_went_in(head: EventHead, origin: Origin, enterprise_number: int) -> None:
    """Parsed as RFC 5424 section 6.3 has it, account, kind and id come back, but for control characters."""
    match = _HEADER.fullmatch(Header(origin, {}, enterprise_number).write(head))
    assert match is not None
    data = match[7].decode()
    sd_id = f"mcwatch@{enterprise_number}"
    assert (data[: len(sd_id) + 1], data[-1]) == (f"[{sd_id}", "]")
    params = list(_PARAM.finditer(data, len(sd_id) + 1))
    assert "".join(param[0] for param in params) == data[len(sd_id) + 1 : -1]
    found = {param[1]: re.sub(r'\\(["\\\]])', r"\1", param[2]) for param in params}
    expected = {"account": head.account, "kind": head.kind, "event_id": head.event_id}
    assert found == {name: re.sub("[\0-\x1f]", " ", value) for name, value in expected.items()}


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("message.seen", "held", Severity.NOTICE),
        ("message.changed", "bounced", Severity.WARNING),
        ("message.seen", "archived", Severity.INFO),
        ("queue.left", None, Severity.DEBUG),
        ("queue.left", "bounced", Severity.WARNING),
        ("queue.left", "processing", Severity.DEBUG),
        ("queue.entered", None, Severity.INFO),
    ],
)
def test_the_status_decides_on_the_severity_and_then_the_kind(
    kind: str, status: str | None, expected: Severity
) -> None:
    """What is listed under neither is informational."""
    severities = {"held": Severity.NOTICE, "bounced": Severity.WARNING, "queue.left": Severity.DEBUG}
    header = Header(Origin(Facility.MAIL, "h", "a", "1"), severities, None)
    at = datetime(2026, 1, 5, tzinfo=UTC)
    written = header.write(EventHead("6f", kind, "acme", "message_finder", at, at, MessageHead(status)))
    assert written.startswith(b"<%d>1 " % (2 * 8 + expected))


@given(st.lists(st.binary(max_size=3000)))
def test_octet_counted_messages_come_back(messages: list[bytes]) -> None:
    """A stream of counted messages falls apart into the same messages, whatever they hold."""
    assert octet_counted_messages(b"".join(map(octet_counted, messages))) == messages


@given(st.lists(_PAYLOADS.map(neutralised)))
def test_lf_framed_messages_come_back(messages: list[bytes]) -> None:
    """A stream of neutralised messages falls apart into the same messages at its line ends."""
    assert lf_messages(b"".join(map(lf_framed, messages))) == messages


@given(_PAYLOADS)
def test_neutralising_removes_control_characters_and_nothing_else(payload: bytes) -> None:
    """No octet below 32 but TAB is left, and every other octet is as it was."""
    clean = neutralised(payload)
    assert len(clean) == len(payload)
    for before, after in zip(payload, clean, strict=True):
        assert after == (32 if before < 32 and before != 9 else before)
