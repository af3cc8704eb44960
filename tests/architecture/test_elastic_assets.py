"""What deploy/elastic maps is what the ecs format emits, with the types that ECS gives it."""

import json
import re
from datetime import datetime
from ipaddress import ip_address
from typing import Any

import msgspec
import yaml
from hypothesis import given

from mcwatch.formats.ecs import ECS_VERSION, PLACES, EcsFormat
from tests.architecture.elastic_assets import ELASTIC, document, kibana_objects, leaves, mapped, multi_fields
from tests.unit.formats import native, strategies
from tests.unit.formats.ecs_schema import SCHEMA

_MAPPINGS = document("component-mappings.json")["template"]["mappings"]
_FIELDS = dict(mapped(_MAPPINGS))
_TYPES = {"date": "date", "ip": "ip", None: "keyword"}
"""Elasticsearch's type by ECS's format; every field used that has no format is a keyword in ECS."""
_LAST_YEAR = 9999


def _rendered() -> list[dict[str, Any]]:
    lines = native.snapshot("json") + native.lines(*native.EVENTS.values())
    return [json.loads(line) for line in EcsFormat().render(lines)]


def test_every_field_that_is_emitted_is_mapped_and_no_other() -> None:
    """The mapped fields are those of the golden file and of every event the formats are tested with."""
    golden = [json.loads(line) for line in native.snapshot("ecs")]
    emitted = {name for one in (*golden, *_rendered()) for name, _ in leaves(one)}
    assert sorted(emitted) == sorted(_FIELDS)


def test_every_place_of_the_format_is_mapped() -> None:
    """docs/FIELDS.md names no place without a mapping; `previous` and `queue` stand for what is in them."""
    places = {place for places in PLACES.values() for place in places.split(", ")} - {"mimecast.previous"}
    assert sorted(places - set(_FIELDS)) == []


def test_fields_of_ecs_have_the_types_of_ecs() -> None:
    """Every mapped field that is not Mimecast's own is one of ECS, with its type, cut where ECS cuts keywords."""
    ecs = {name: kind for name, kind in _FIELDS.items() if not name.startswith("mimecast.")}
    assert {name: _TYPES[SCHEMA["fields"][name].get("format")] for name in ecs} == ecs
    text = json.dumps(_MAPPINGS)
    assert text.count('"type": "keyword"') == text.count('"type": "keyword", "ignore_above": 1024')


def test_texts_to_search_in_have_a_field_for_words() -> None:
    """ECS gives the subject a multi-field `text`; Mimecast's own words have one too."""
    assert {"email.subject.text": "match_only_text", "mimecast.info.text": "match_only_text"} == dict(
        multi_fields(_MAPPINGS)
    )


def _fits(kind: str, value: object) -> bool:
    """Tell whether Elasticsearch takes a value for a field of a type."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "date":
        return isinstance(value, str) and datetime.fromisoformat(value).year <= _LAST_YEAR
    if kind == "ip":
        return isinstance(value, str) and bool(ip_address(value))
    if kind == "long":
        return isinstance(value, int) and number and -(2**63) <= value < 2**63
    if kind == "double":
        return number
    return isinstance(value, bool) if kind == "boolean" else isinstance(value, str)


@given(strategies.events())
def test_no_event_has_a_value_that_its_mapping_refuses(event: dict[str, Any]) -> None:
    """Whatever the texts of a mail, every field is mapped and fits; `previous` holds what did."""
    [line] = EcsFormat().render([msgspec.json.encode(event | {"previous": None})])
    for name, value in leaves(json.loads(line)):
        assert _fits(_FIELDS[name], value), name


def test_the_former_values_have_the_types_of_the_present_ones() -> None:
    """What `mimecast.previous` maps has the type of the field it was the value of; unknown names are not mapped."""
    previous = _MAPPINGS["properties"]["mimecast"]["properties"]["previous"]
    types = {name: _FIELDS["email.local_id" if name == "id" else f"mimecast.{name}"] for name in previous["properties"]}
    assert types == dict(mapped(previous))
    assert previous["dynamic"] is False


def test_the_files_refer_to_each_other() -> None:
    """The template is made of the two components, for the stream of the docs, above the templates of Elastic."""
    template = document("index-template.json")
    assert ["mcwatch@mappings", "mcwatch@settings"] == template["composed_of"]
    assert ["logs-mimecast-*"] == template["index_patterns"]
    assert template["priority"] > 200
    settings = document("component-settings.json")["template"]["settings"]["index"]
    opensearch = document("opensearch/component-settings.json")["template"]["settings"]["index"]
    assert {"name": "mcwatch"} == settings.pop("lifecycle")
    assert opensearch == settings
    assert settings["mapping"]["total_fields"]["limit"] > 1.5 * len(json.dumps(_MAPPINGS).split('"type"'))
    ism = document("opensearch/ism-policy.json")["policy"]
    assert ism["ism_template"][0]["index_patterns"] == template["index_patterns"]


def test_both_lifecycles_say_the_same() -> None:
    """Rollover and deletion come at the same ages for Elasticsearch and OpenSearch, and in the descriptions."""
    phases = document("ilm-policy.json")["policy"]["phases"]
    rollover = phases["hot"]["actions"]["rollover"]
    hot, delete = document("opensearch/ism-policy.json")["policy"]["states"]
    other = hot["actions"][0]["rollover"]
    assert (rollover["max_age"], rollover["max_primary_shard_size"]) == (
        other["min_index_age"],
        other["min_primary_shard_size"],
    )
    [transition] = hot["transitions"]
    assert phases["delete"]["min_age"] == transition["conditions"]["min_rollover_age"]
    assert transition["state_name"] == delete["name"]


def test_the_pipeline_knows_the_version_and_every_native_field() -> None:
    """The script's parameters are those of the format: version of ECS, and the native names it takes apart."""
    pipeline = yaml.safe_load((ELASTIC / "ingest-pipeline.yaml").read_text("utf-8"))
    [step] = pipeline["processors"]
    parameters, script = step["script"]["params"], step["script"]["source"]
    assert ECS_VERSION == parameters["version"]
    assert set(parameters["native"]) == set(native.FULL)
    words = set(re.findall(r"\w+", script)) | set(parameters["own"]) | set(parameters["native"])
    assert set(native.FULL["message"]) <= words


def test_kibana_objects_refer_to_objects_that_are_there() -> None:
    """Every reference of search and dashboard names an object of the file, and every panel a reference."""
    objects = kibana_objects()
    for one in objects.values():
        for reference in one["references"]:
            assert (reference["type"], reference["id"]) in objects
    dashboard = objects["dashboard", "mcwatch"]
    names = {reference["name"] for reference in dashboard["references"]}
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    assert names == {f"{panel['panelIndex']}:{panel['panelRefName']}" for panel in panels}
    rows = [panel["gridData"] for panel in panels]
    assert [row["y"] for row in rows] == [sum(one["h"] for one in rows[:place]) for place in range(len(rows))]


def test_kibana_searches_name_fields_that_are_mapped() -> None:
    """Columns, sort and query of each search, and the time of the data view, are fields of the mapping."""
    objects = kibana_objects()
    view = objects["index-pattern", "mcwatch"]["attributes"]
    used = {view["timeFieldName"]}
    assert view["title"] == document("index-template.json")["index_patterns"][0]
    for (kind, _), one in objects.items():
        if kind == "search":
            attributes = one["attributes"]
            source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
            assert source["indexRefName"] == one["references"][0]["name"]
            used |= {*attributes["columns"], *(name for name, _ in attributes["sort"])}
            used |= set(re.findall(r"([\w.]+) (?::|>=) ", source["query"]["query"]))
    assert sorted(used - set(_FIELDS)) == []


def test_the_docs_name_files_and_fields_that_are_there() -> None:
    """The commands of docs/siem/elastic.md install every file there is, and its queries name mapped fields."""
    text = (ELASTIC.parents[1] / "docs" / "siem" / "elastic.md").read_text("utf-8")
    installed = set(re.findall(r"^put \S+ (?:json|yaml) (\S+)$", text, re.MULTILINE)) | {"kibana.ndjson"}
    assert {str(path.relative_to(ELASTIC)) for path in ELASTIC.rglob("*") if path.is_file()} == installed
    named = set(re.findall(r"\b(?:mimecast|event|related|email)\.[a-z_.]+[a-z]", text)) - {"mimecast.yaml"}
    assert sorted(named - set(_FIELDS)) == []
