"""What a check says of a server and its target."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mcwatch.domain.errors import AuthError, MisconfiguredError, TransientError
from mcwatch.sinks.elasticsearch import ElasticsearchSinkConfig
from tests.fakes.elasticsearch import BulkReceiver, Options


@pytest.fixture
async def receiver() -> AsyncIterator[BulkReceiver]:
    """Give a running receiver."""
    found = BulkReceiver()
    await found.start()
    yield found
    await found.stop()


async def _checked(url: str | list[str], **options: Any) -> str:  # noqa: ANN401 - as written in YAML
    target = {} if "index" in options else {"data_stream": "logs-mimecast-default"}
    options = {"type": "elasticsearch", "url": url, "timeout": "1s"} | target | options
    async with ElasticsearchSinkConfig.model_validate(options).build() as sink:
        return await sink.check()


@pytest.mark.parametrize(
    ("options", "sink_options", "words"),
    [
        (
            Options(),
            {},
            (
                "Elasticsearch 8.17.0 at {url}; the data stream logs-mimecast-default exists; "
                "the credential may create documents"
            ),
        ),
        (
            Options(data_streams=set()),
            {},
            (
                "Elasticsearch 8.17.0 at {url}; the data stream logs-mimecast-default does not exist yet: the first "
                "delivery makes it from the index template that matches it; the credential may create documents"
            ),
        ),
        (
            Options(rights={"create_doc"}),
            {},
            (
                "Elasticsearch at {url}; whether the data stream logs-mimecast-default exists it does not say; "
                "the credential may create documents"
            ),
        ),
        (
            Options(),
            {"index": "mail"},
            (
                "Elasticsearch 8.17.0 at {url}; the index mail does not exist yet: the first delivery makes it; "
                "the credential may create documents"
            ),
        ),
        (
            Options(product="old-elasticsearch", version="7.10.2"),
            {},
            (
                "Elasticsearch 7.10.2 at {url}; the data stream logs-mimecast-default exists; "
                "whether create is allowed it does not say"
            ),
        ),
        (
            Options(product="opensearch", version="2.19.1"),
            {},
            (
                "OpenSearch 2.19.1 at {url}; the data stream logs-mimecast-default exists; "
                "whether create is allowed it does not say"
            ),
        ),
        (
            Options(product="emulator"),
            {},
            (
                "a server with the same API 8.17.0 (Nearly the same) at {url}; whether the data stream "
                "logs-mimecast-default exists it does not say; whether create is allowed it does not say"
            ),
        ),
        (
            Options(product="unnamed"),
            {},
            (
                "a server that does not tell its product at {url}; whether the data stream logs-mimecast-default "
                "exists it does not say; whether create is allowed it does not say"
            ),
        ),
    ],
)
async def test_a_check_says_what_it_found(
    receiver: BulkReceiver, options: Options, sink_options: dict[str, Any], words: str
) -> None:
    """Product, version, whether the target exists and whether it may be written to, as far as the server tells."""
    receiver.options = options
    assert words.format(url=receiver.url) == await _checked(receiver.url, **sink_options)
    assert receiver.written == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(rights={"monitor"}), "may not create documents in the data stream logs-mimecast-default"),
        (
            Options(rights={"monitor", "create_doc", "view_index_metadata"}, data_streams=set()),
            "does not exist at {url}, and the credential may not make it",
        ),
        (Options(authorization="ApiKey other"), "answered 401"),
    ],
)
async def test_a_missing_right_is_found(receiver: BulkReceiver, options: Options, words: str) -> None:
    """A credential that may not write is known before the first event."""
    receiver.options = options
    with pytest.raises(AuthError) as failure:
        await _checked(receiver.url, bearer="x")
    assert words.format(url=receiver.url) in str(failure.value)
    assert failure.value.remedy


async def test_a_credential_in_the_clear_is_pointed_out(receiver: BulkReceiver) -> None:
    """A key that would cross a network unencrypted to any of the nodes is worth a warning."""
    text = await _checked([receiver.url, "http://es.example:9200"], api_key="x")
    assert text.endswith("; warning: the credential crosses the network in the clear, use https")


@pytest.mark.parametrize(("status", "kind"), [(404, MisconfiguredError), (403, AuthError), (503, TransientError)])
async def test_a_server_without_that_api_is_no_target(status: int, kind: type[Exception]) -> None:
    """A web server that has neither an answer at / nor a bulk API is refused with what it says."""

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.path == "/" else status, text="<html>welcome</html>")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", refuse)
    async with TestServer(application, host="127.0.0.1") as server:
        with pytest.raises(kind):
            await _checked(str(server.make_url("/")))


async def test_a_server_that_is_busy_is_not_checked() -> None:
    """503 at / is an outage, not an unknown product."""

    async def away(_request: web.Request) -> web.Response:
        return web.Response(status=503)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", away)
    async with TestServer(application, host="127.0.0.1") as server:
        with pytest.raises(TransientError):
            await _checked(str(server.make_url("/")))
