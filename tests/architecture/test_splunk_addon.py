"""The Splunk add-on does what it says with the events that mcwatch sends: fields, eventtypes, tags, searches."""

import csv
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcwatch.domain.delivery import Batch
from mcwatch.formats.cim import CimFormat
from mcwatch.sinks.splunk_hec import SplunkHecSinkConfig
from mcwatch.sinks.splunk_hec.envelope import EnvelopeOptions, Envelopes
from tests.architecture.splunk_addon import ADDON, Search, SearchTime, conf, extracted
from tests.architecture.splunk_eval import Eval
from tests.unit.formats import native

_PROPS = conf("props.conf")
_JSON = SearchTime(_PROPS["mcwatch:json"])
_STATUSES = list(csv.DictReader((ADDON / "lookups" / "mcwatch_statuses.csv").read_text("utf-8").splitlines()))
_VIEWS = sorted((ADDON / "default" / "data" / "ui").glob("*/*.xml"))
_OF_EMAIL = (
    "action", "delay", "direction", "filter_action", "filter_score", "internal_message_id", "message_info", "recipient",
    "recipient_count", "return_addr", "signature", "size", "src", "src_user", "subject", "vendor_product",
)  # fmt: skip
"""The fields of the data model Email (All_Email, Filtering) that Mimecast's API can fill, and `direction`."""
_NOT_FROM_JSON = {"mimecast_to", "mimecast_extra", "mimecast_previous"}
"""Objects: format json has them under its own names alone."""


def _natives() -> list[bytes]:
    """Return the events of the format tests, but for a count of none, and queue events said to be the finder's."""
    left_out = ("no recipients", "kind queue")
    events = [event for name, event in native.EVENTS.items() if not name.startswith(left_out)]
    return native.snapshot("json") + native.lines(*events)


def _golden(form: str) -> list[tuple[dict[str, Any], dict[str, list[str]]]]:
    lines = native.snapshot("json")
    sent = CimFormat().render(lines) if form == "cim" else lines
    return [(json.loads(line), _JSON.fields(one)) for line, one in zip(lines, sent, strict=True)]


def test_the_sourcetypes_are_those_that_the_sink_sends() -> None:
    """With the sink's defaults an event in a JSON format, and one in another, has a stanza of props.conf."""
    lines = native.snapshot("json")
    types = set()
    for content_type in ("application/json", "text/plain"):
        body = Envelopes(EnvelopeOptions(host="here")).body(Batch(lines, lines, content_type))
        types |= {json.loads(line)["sourcetype"] for line in body.splitlines()}
    assert types == set(_PROPS) - {"mcwatch:log"}
    assert SplunkHecSinkConfig.model_fields["sourcetype"].default is None


def test_json_is_read_once() -> None:
    """Splunk reads the JSON at search time, and what is an indexed field as well has one value."""
    assert ("json", None) == (_PROPS["mcwatch:json"]["KV_MODE"], _PROPS["mcwatch:json"].get("INDEXED_EXTRACTIONS"))
    for form in ("cim", "json"):
        for event, fields in _golden(form):
            assert [event["event_id"]] == fields["event_id"]
            assert ([event["kind"]], [event["account"]]) == (fields["kind"], fields["account"])


def test_both_formats_give_the_same_fields() -> None:
    """An event in format json has, field by field, what it has in format cim."""
    lines = _natives()
    for line, cim_line in zip(lines, CimFormat().render(lines), strict=True):
        cim, own = _JSON.fields(cim_line), _JSON.fields(line)
        names = {name for name in cim if re.split(r"[.{]", name)[0] not in _NOT_FROM_JSON and name != "recipient{}"}
        assert {name: _numbers(cim[name]) for name in names} == {name: _numbers(own.get(name, [])) for name in names}


def _numbers(values: list[str]) -> list[str | float]:
    return [float(value) if re.fullmatch(r"-?\d+(\.\d+)?", value) else value for value in values]


def test_calculations_change_nothing_that_format_cim_has() -> None:
    """Every field of a cim event keeps its value."""
    lines = _natives()
    for line in CimFormat().render(lines):
        fields = _JSON.fields(line)
        sent = extracted(json.loads(line))
        assert {name: _numbers(values) for name, values in sent.items()} == {
            name: _numbers(fields[name]) for name in sent
        }


def test_every_field_of_the_data_model_is_there() -> None:
    """The golden events fill each field of Email that the API has a value for, recipients with several values."""
    for form in ("cim", "json"):
        seen = {name for _, fields in _golden(form) for name in fields}
        assert set(_OF_EMAIL) <= seen
        assert ["bob@news.example", "carol@shop.example"] in [fields.get("recipient") for _, fields in _golden(form)]
        assert not any("delivered" in fields.get("action", []) for _, fields in _golden(form))


def test_every_field_that_is_read_exists() -> None:
    """Aliases, calculations, eventtypes and the lookup name fields that some event has."""
    lines = _natives()
    sent = {name for line in (*lines, *CimFormat().render(lines)) for name in extracted(json.loads(line))}
    made = sent | {new for _, new in _JSON.aliases} | set(_JSON.evals) | {"sourcetype"}
    assert sorted({old for old, _ in _JSON.aliases} - sent) == []
    assert sorted(set().union(*(one.names for one in _JSON.evals.values())) - made) == []
    for stanza in conf("eventtypes.conf").values():
        assert sorted(Search(stanza["search"]).names - made) == []


def test_calculations_depend_on_no_other_calculation() -> None:
    """Splunk calculates side by side: an expression sees the other fields as they were before."""
    before = {new for _, new in _JSON.aliases}
    for name, one in _JSON.evals.items():
        for used in one.names & set(_JSON.evals) - {name}:
            assert used in before | {"kind", "recipient"}, f"EVAL-{name} reads {used}"


def test_eventtypes_find_the_events_they_are_named_for() -> None:
    """Of the golden events, in either format, each eventtype finds those of its kind and states, and no queue event."""
    types = {name: Search(stanza["search"]) for name, stanza in conf("eventtypes.conf").items()}
    statuses = {
        "mcwatch_message": None,
        "mcwatch_filtered": {"accepted", "deferred", "held", "rejected"},
        "mcwatch_delivery": {"delivery", "bulk_delivery", "bounced", "archived"},
        "mcwatch_held": {"held"},
    }
    for form in ("cim", "json"):
        for event, fields in _golden(form):
            is_mail, status = event["kind"].startswith("message."), event["message"].get("status")
            expected = {name for name, wanted in statuses.items() if is_mail and (wanted is None or status in wanted)}
            expected |= set() if is_mail else {"mcwatch_queue"}
            assert expected == {name for name, search in types.items() if search.matches(fields)}, event


def test_tags_belong_to_eventtypes_and_queue_events_have_none() -> None:
    """Every tag is one that the data model Email searches for, on an eventtype that exists."""
    tags = conf("tags.conf")
    assert {f"eventtype={name}" for name in conf("eventtypes.conf")} >= set(tags)
    assert {"email", "filter", "delivery"} == {tag for stanza in tags.values() for tag in stanza}
    assert "eventtype=mcwatch_queue" not in tags


def test_the_lookup_is_defined_and_knows_every_status() -> None:
    """props.conf names a stanza of transforms.conf, that one a file, and the file each status of the finder."""
    name, *fields = _PROPS["mcwatch:json"]["LOOKUP-stage"].split()
    assert ["status", "AS", "mimecast_status", "OUTPUTNEW", "stage", "AS", "mimecast_stage"] == fields
    assert "mcwatch_statuses.csv" == conf("transforms.conf")[name]["filename"]
    assert set(native.STATUSES) == {row["status"] for row in _STATUSES}
    assert all(row["stage"] for row in _STATUSES)


def test_times_are_found_at_index_time() -> None:
    """TIME_PREFIX finds the event's own time in a line of either format, before anything that a sender wrote."""
    prefix = re.compile(_PROPS["mcwatch:json"]["TIME_PREFIX"])
    lines = _natives()
    for line, cim_line in zip(lines, CimFormat().render(lines), strict=True):
        for text in (line.decode(), cim_line.decode()):
            match = prefix.search(text)
            assert match
            assert text[match.end() :].startswith(json.loads(line)["occurred_at"])


def test_lines_break_where_events_end() -> None:
    """The patterns at which lines are broken compile and have the group that Splunk takes for the break."""
    for stanza in _PROPS.values():
        assert 1 == re.compile(stanza["LINE_BREAKER"]).groups
        assert stanza["EVENT_BREAKER"] == stanza["LINE_BREAKER"]
        assert "false" == stanza["SHOULD_LINEMERGE"]


def _queries() -> Iterator[tuple[str, str]]:
    for name, stanza in conf("savedsearches.conf").items():
        yield name, stanza["search"]
    for path in _VIEWS:
        yield from ((path.name, query.text or "") for query in ET.parse(path).iter("query"))


@pytest.mark.parametrize(("name", "query"), list(_queries()))
def test_searches_name_what_is_there(name: str, query: str) -> None:
    """Macros, eventtypes, sourcetypes and fields of each search exist."""
    assert set(re.findall(r"`(\w+)`", query)) <= set(conf("macros.conf")), name
    assert set(re.findall(r"eventtype=(\w+)", query)) <= set(conf("eventtypes.conf"))
    assert set(re.findall(r'sourcetype="([^"]+)"', query)) <= set(_PROPS)
    lines = CimFormat().render(_natives())
    fields = set().union(*(_JSON.fields(line) for line in lines)) | {"mimecast_stage"}
    assert set(re.findall(r"\b(mimecast_\w+)", query)) <= fields


def test_no_search_runs_by_itself() -> None:
    """Saved searches come without a schedule; the dashboard refers to those that exist."""
    searches = conf("savedsearches.conf")
    assert {"0"} == {stanza["enableSched"] for stanza in searches.values()}
    refs = {one.attrib["ref"] for path in _VIEWS for one in ET.parse(path).iter("search") if "ref" in one.attrib}
    assert refs
    assert refs <= set(searches)


def test_the_views_are_in_the_navigation() -> None:
    """Each dashboard has an entry; views of Splunk itself may stand there too."""
    own = {path.stem for path in _VIEWS if path.parent.name == "views"}
    named = {one.attrib["name"] for one in ET.parse(ADDON / "default/data/ui/nav/default.xml").iter("view")}
    assert own == named - {"search", "reports"}


def test_app_conf_names_the_folder() -> None:
    """Splunk wants id, package and folder to be the same name, and one version."""
    app = conf("app.conf")
    assert [ADDON.name] * 2 == [app["id"]["name"], app["package"]["id"]]
    assert app["id"]["version"] == app["launcher"]["version"]


def test_what_other_apps_need_is_exported() -> None:
    """Fields, lookups, eventtypes and tags are seen outside the add-on, or no data model would find them."""
    text = (ADDON / "metadata" / "default.meta").read_text("utf-8")
    for kind in ("props", "transforms", "lookups", "eventtypes", "tags"):
        assert f"[{kind}]\nexport = system" in text


@pytest.mark.parametrize(
    "text", ["case(a==1", "unknown(a)", "a b", '"open', "a ==", "a + b", "match(a) b", ""], ids=repr
)
def test_the_reader_of_expressions_is_strict(text: str) -> None:
    """What cannot be read, or is no function known here, is an error and never a value."""
    with pytest.raises((ValueError, KeyError)):
        Eval(text)


def test_all_files_are_plain_text() -> None:
    """No file of the add-on has a byte order mark, a carriage return or a trailing blank."""
    for path in (one for one in ADDON.rglob("*") if one.is_file()):
        text = Path(path).read_bytes()
        assert not re.search(rb"\xef\xbb\xbf|\r|[ \t]\n", text), path
