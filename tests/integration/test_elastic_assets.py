"""The files of deploy/elastic in a real OpenSearch, installed as docs/siem/elastic.md says, fed by mcwatch."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch
from mcwatch.formats.ecs import EcsFormat
from mcwatch.formats.json import JsonFormat
from mcwatch.interfaces import Format
from mcwatch.simulator import Simulator, SimulatorConfig
from mcwatch.sinks.elasticsearch import ElasticsearchSinkConfig
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.daemon import CONFIG, Daemon, run_command
from tests.acceptance.waiting import eventually
from tests.architecture.elastic_assets import ELASTIC, document, mapped
from tests.integration.opensearch import OpenSearch
from tests.unit.formats import native

# A first run fetches the server's jars.
pytestmark = pytest.mark.timeout(600)
_DOCS = Path(__file__).parents[2] / "docs" / "siem" / "elastic.md"
_PIPELINE = "mcwatch-json-to-ecs"
_ECS_STREAM, _JSON_STREAM = "logs-mimecast-default", "logs-mimecast-native"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[OpenSearch]:
    """A node with the files installed by the commands of the docs."""
    directory = tmp_path / "opensearch"
    directory.mkdir()
    async with OpenSearch(directory) as running:
        await asyncio.to_thread(_install, running.url)
        yield running


def _install(url: str) -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```", _DOCS.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    [block] = [text for text in blocks if text.startswith("ES=https://opensearch.example")]
    command = re.sub(r"^ES=.*", f"ES={url}", block)
    environ = {"PATH": os.environ["PATH"], "ES_USER": "nobody:nothing"}
    done = subprocess.run(
        ["bash", "-euc", command], cwd=ELASTIC, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (0, 4) == (done.returncode, len(re.findall(r'acknowledged"?: ?true', done.stdout))), (
        done.stderr + done.stdout
    )


async def _mapping(server: OpenSearch, stream: str) -> dict[str, str]:
    [index] = (await server.call("GET", f"/{stream}/_mapping")).values()
    return dict(mapped(index["mappings"]))


async def _documents(server: OpenSearch, stream: str) -> dict[str, dict[str, Any]]:
    """Return the documents by id; their JSON text decoded, for its spacing and order may differ."""
    await server.call("POST", f"/{stream}/_refresh")
    hits = (await server.call("GET", f"/{stream}/_search", {"size": 5000, "track_total_hits": True}))["hits"]
    assert hits["total"]["value"] == len(hits["hits"]), "more than one answer holds"
    documents = {hit["_id"]: _with_extra_decoded(hit["_source"]) for hit in hits["hits"]}
    assert len(hits["hits"]) == len(documents), "an event stands twice"
    return documents


def _with_extra_decoded(source: dict[str, Any]) -> dict[str, Any]:
    if "extra" in source["mimecast"]:
        source["mimecast"]["extra"] = json.loads(source["mimecast"]["extra"])
    return source


def _configuration(simulator: Simulator, url: str) -> Config:
    native_sink = {"data_stream": _JSON_STREAM, "pipeline": _PIPELINE}
    return configuration.whole(
        [configuration.account(simulator)],
        [
            configuration.elasticsearch(url),
            configuration.elasticsearch(url, "native", sink=native_sink) | {"format": {"type": "json"}},
        ],
    )


async def test_what_mcwatch_delivers_is_there_once_and_mapped(server: OpenSearch, tmp_path: Path) -> None:
    """As many documents as events, none more after a replay; no field was mapped by guess; the pipeline makes ECS."""
    place = tmp_path / "place"
    place.mkdir()
    async with (
        Simulator(SimulatorConfig(mails_per_minute=600.0, history_secs=1200.0)) as simulator,
        Daemon(place, _configuration(simulator, server.url)) as daemon,
    ):

        async def enough() -> bool:
            scrape = await daemon.metrics()
            delivered = [scrape.value("events_delivered_total", destination=name) for name in ("elastic", "native")]
            return min(delivered) > 200

        await eventually(enough, 60.0)
        assert 0 == await daemon.stop(30.0)
    ecs, piped = await _documents(server, _ECS_STREAM), await _documents(server, _JSON_STREAM)
    common = ecs.keys() & piped.keys()
    assert len(common) > 150
    assert {key: ecs[key] for key in common} == {key: piped[key] for key in common}
    assert all(key == one["event"]["id"] for key, one in ecs.items())
    done = await run_command(place, "replay", "-c", CONFIG, "--destination", "elastic", "--from", "1h")
    assert 0 == done.code, done.stderr
    assert ecs.keys() <= (await _documents(server, _ECS_STREAM)).keys()
    expected = dict(mapped(document("component-mappings.json")["template"]["mappings"]))
    assert [expected] * 2 == [await _mapping(server, stream) for stream in (_ECS_STREAM, _JSON_STREAM)]


def _every_event() -> list[bytes]:
    events = [*map(json.loads, native.snapshot("json")), *native.EVENTS.values()]
    return [msgspec.json.encode(event | {"event_id": f"{number:032x}"}) for number, event in enumerate(events)]


async def _deliver(server: OpenSearch, form: Format, **options: str) -> None:
    lines = _every_event()
    batch = Batch(lines, form.render(lines), form.content_type)
    config = {"type": "elasticsearch", "url": server.url, **options}
    async with ElasticsearchSinkConfig.model_validate(config).build() as sink:
        assert await sink.check()
        for _ in range(2):
            assert ALL_ACCEPTED == await sink.deliver(batch)


async def test_every_event_of_the_format_tests_is_accepted(server: OpenSearch) -> None:
    """Hostile texts, redacted events, first and last times, largest numbers: taken once, the same from both formats."""
    await _deliver(server, EcsFormat(), data_stream=_ECS_STREAM)
    await _deliver(server, JsonFormat(), data_stream=_JSON_STREAM, pipeline=_PIPELINE)
    ecs, piped = await _documents(server, _ECS_STREAM), await _documents(server, _JSON_STREAM)
    assert len(_every_event()) == len(ecs)
    assert ecs == piped
    expected = dict(mapped(document("component-mappings.json")["template"]["mappings"]))
    assert [expected] * 2 == [await _mapping(server, stream) for stream in (_ECS_STREAM, _JSON_STREAM)]
