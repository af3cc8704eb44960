"""Which product answers."""

from typing import Any

import msgspec
import pytest

from mcwatch.httpclient.client import Response
from mcwatch.sinks.elasticsearch.server import identify

_ELASTIC = {"X-Elastic-Product": "Elasticsearch"}
_SEARCH = "You Know, for Search"


def _info(number: str, tagline: str = _SEARCH, **version: str) -> dict[str, Any]:
    return {"name": "n", "version": {"number": number, **version}, "tagline": tagline}


@pytest.mark.parametrize(
    ("headers", "body", "words", "can_require", "may_summarize"),
    [
        (_ELASTIC, _info("8.17.0"), "Elasticsearch 8.17.0", True, False),
        (_ELASTIC, _info("9.1.0-SNAPSHOT"), "Elasticsearch 9.1.0-SNAPSHOT", True, False),
        (_ELASTIC, _info("8.12.2"), "Elasticsearch 8.12.2", False, False),
        (_ELASTIC, _info("8.11.0", build_flavor="serverless"), "Elasticsearch 8.11.0", True, False),
        ({}, _info("7.10.2", build_flavor="oss"), "Elasticsearch 7.10.2", False, False),
        (
            {}, _info("2.19.1", "The OpenSearch Project: https://opensearch.org/", distribution="opensearch"),
            "OpenSearch 2.19.1", False, False,
        ),
        (
            {}, _info("8.17.0", "Tenzir accept_opensearch", distribution="opensearch"),
            "a server with the same API 8.17.0 (Tenzir accept_opensearch)", False, True,
        ),
        (
            {}, _info("\x1b[2J", "evil\x1b[2J\n" + "x" * 99), "a server with the same API (evil[2J" + "x" * 53 + ")",
            False, True,
        ),
        ({}, {"hello": 1}, "a server that does not tell its product", False, False),
        ({}, b"<html>", "a server that does not tell its product", False, False),
        ({}, b"", "a server that does not tell its product", False, False),
    ],
)  # fmt: skip
def test_a_server_is_known_by_what_it_says(
    headers: dict[str, str], body: object, words: str, can_require: bool, may_summarize: bool
) -> None:
    """Header, distribution and tagline name the product; what is foreign is shown without control characters."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    server = identify(Response(200, headers, raw))
    assert (words, can_require, may_summarize) == (str(server), server.can_require_data_stream, server.may_summarize)


def test_an_elasticsearch_that_may_not_tell_its_version_is_known() -> None:
    """Without the right `monitor` the header still names the product; what a version has is not asked for then."""
    server = identify(Response(403, _ELASTIC, b"{}"))
    assert (str(server), server.can_require_data_stream, server.may_summarize) == ("Elasticsearch", False, False)
