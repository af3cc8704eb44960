"""What the configuration of the http sink refuses, and what it builds."""

from typing import Any

import pytest
from pydantic import ValidationError

from mcwatch.sinks.http import HttpSinkConfig
from mcwatch.sinks.http.sink import HttpSink

_SIGNED: dict[str, Any] = {"secret": "hunter2"}


def _config(options: dict[str, Any]) -> HttpSinkConfig:
    return HttpSinkConfig.model_validate({"type": "http", "url": "https://hook.example/"} | options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "hook.example/in"}, "https://host"),
        ({"headers": {"Bad Name": "x"}}, "no header name"),
        ({"headers": {"Content-Length": "1"}}, "set by mcwatch"),
        ({"headers": {"idempotency-key": "1"}}, "set by mcwatch"),
        ({"headers": {"A": "1", "a": "2"}}, "twice"),
        ({"url": "http://u:hunter2@hook.example/", "headers": {"Authorization": "x"}}, "one credential"),
        ({"bearer": "hunter2", "headers": {"authorization": "x"}}, "one credential"),
        ({"bearer": "hunter2", "username": "u", "password": "hunter2"}, "one credential"),
        ({"url": "http://u:hunter2@hook.example/", "bearer": "hunter2"}, "one credential"),
        ({"username": "u"}, "go together"),
        ({"password": "hunter2"}, "go together"),
        ({"username": "a:b", "password": "hunter2"}, "pattern"),
        ({"signature": {}}, "secret"),
        ({"signature": _SIGNED | {"header": "no good"}}, "no header name"),
        ({"signature": _SIGNED | {"header": "X-A", "timestamp_header": "x-a"}}, "the same"),
        ({"signature": _SIGNED | {"header": "X-A"}, "headers": {"x-a": "x"}}, "another purpose"),
        ({"signature": _SIGNED | {"header": "Content-Type"}}, "another purpose"),
        ({"signature": _SIGNED | {"header": "Authorization"}, "bearer": "hunter2"}, "another purpose"),
        ({"success": [302]}, "200 to 299"),
        ({"success": [404]}, "200 to 299"),
        ({"body": "lines"}, "ndjson"),
        ({"compression": "br"}, "zstd"),
        ({"timeout": "0"}, "greater"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], words: str) -> None:
    """Each wrong option is named when the configuration is read, without quoting a value."""
    with pytest.raises(ValidationError, match=words) as failure:
        _config(options)
    assert "hunter2" not in str(failure.value)


@pytest.mark.parametrize(
    "options",
    [
        {"signature": _SIGNED | {"header": "Authorization"}},
        {"success": [200, 202, 409]},
        {"url": ["https://a.example/in", "https://b.example/in"]},
        {"bearer": {"file": "/run/secrets/not-there-yet"}},
    ],
)
def test_what_can_work_is_built(options: dict[str, Any]) -> None:
    """Building touches neither network nor files, and shows no secret."""
    sink = _config(options).build()
    assert isinstance(sink, HttpSink)
    assert (8, None) == (sink.most_at_once, sink.acknowledgements)
    assert "hunter2" not in repr(_config(options))
