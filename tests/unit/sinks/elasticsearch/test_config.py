"""The options of the elasticsearch sink."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from mcwatch.sinks.elasticsearch import ElasticsearchSinkConfig
from tests.contract.sink_events import numbered
from tests.fakes.elasticsearch import BulkReceiver

_BASE: dict[str, Any] = {"type": "elasticsearch", "url": "https://es.example:9200", "index": "mail"}


def _config(**options: Any) -> ElasticsearchSinkConfig:  # noqa: ANN401 - as written in YAML
    return ElasticsearchSinkConfig.model_validate(_BASE | options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"index": None}, "either data_stream or index"),
        ({"data_stream": "logs-a-b"}, "either data_stream or index"),
        ({"index": ""}, "at least 1 character"),
        ({"index": "Mail"}, "lower case"),
        ({"index": "_mail"}, "does not begin"),
        ({"index": "-mail"}, "does not begin"),
        ({"index": "+mail"}, "does not begin"),
        ({"index": ".ds-mail"}, "does not begin"),
        ({"index": ".."}, "is not . or .."),
        ({"index": "mail*"}, "an index name has no"),
        ({"index": "a,b"}, "an index name has no"),
        ({"index": "a b"}, "an index name has no"),
        ({"index": "a/b"}, "an index name has no"),
        ({"index": "a\\b"}, "an index name has no"),
        ({"index": "<mail-{now/d}>"}, "an index name has no"),
        ({"index": "a\0b"}, "an index name has no"),
        ({"index": "a:b"}, "an index name has no"),
        ({"index": "é" * 128}, "at most 255 bytes"),
        ({"username": "amy"}, "belong together"),
        ({"password": "x"}, "belong together"),
        ({"username": "a:b", "password": "x"}, "no colon"),
        ({"api_key": "x", "bearer": "y"}, "one credential"),
        ({"url": "https://amy:x@es.example", "api_key": "x"}, "one credential"),
        ({"url": "https://es.example/?a=b"}, "without ? or #"),
        ({"url": "https://es.example/_bulk"}, "the server alone"),
        ({"url": "ftp://es.example"}, "write the URL as"),
        ({"url": []}, "at least 1 item"),
        ({"pipeline": ""}, "at least 1 character"),
        ({"compression": "zstd"}, "'gzip' or 'none'"),
    ],
)
def test_what_cannot_work_is_refused_at_once(options: dict[str, Any], words: str) -> None:
    """Names are checked as Elasticsearch checks them, and one credential is meant."""
    with pytest.raises(ValidationError) as failure:
        _config(**options)
    assert words in str(failure.value)


@pytest.mark.parametrize("name", ["mail", "logs-mimecast-default", "mail_2026.01", ".hidden", "é", "a+b"])
def test_valid_names_are_taken(name: str) -> None:
    """Both kinds of target take the same names."""
    assert _config(index=name).index == name
    assert _config(index=None, data_stream=name).data_stream == name


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"api_key": "VnVhQ2ZHY0JDZGJrU=="}, "ApiKey VnVhQ2ZHY0JDZGJrU=="),
        ({"api_key": "VuaCf:ui2lp2"}, "ApiKey " + base64.b64encode(b"VuaCf:ui2lp2").decode()),
        ({"username": "amy", "password": "p:w"}, "Basic " + base64.b64encode(b"amy:p:w").decode()),
        ({"bearer": "AAEA"}, "Bearer AAEA"),
    ],
)
async def test_the_credential_is_sent_as_elasticsearch_wants_it(options: dict[str, Any], expected: str | None) -> None:
    """A key comes in either form, and is encoded where it is not."""
    receiver = BulkReceiver()
    await receiver.start()
    async with _config(url=receiver.url, **options).build() as sink:
        await sink.deliver(numbered(1))
    await receiver.stop()
    assert [expected] * 2 == [seen.headers.get("Authorization") for seen in receiver.requests]


def test_secrets_do_not_show() -> None:
    """Neither credentials nor the user in the URL are in the representation."""
    shown = repr(_config(api_key="s3cret")) + repr(_config(url="https://amy:s3cret@es.example"))
    assert "s3cret" not in shown
