"""The options of the splunk_hec sink."""

from typing import Any

import pytest
from pydantic import ValidationError

from mcwatch.sinks.splunk_hec import SplunkHecSinkConfig

_LEAST = {"type": "splunk_hec", "url": "https://splunk.example:8088", "token": "t"}


def _config(**options: Any) -> SplunkHecSinkConfig:  # noqa: ANN401 - as written in YAML
    return SplunkHecSinkConfig.model_validate(_LEAST | options)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://s.example:8088", "https://s.example:8088"),
        ("https://s.example:8088/", "https://s.example:8088"),
        ("https://s.example:8088/services/collector", "https://s.example:8088"),
        ("https://s.example:8088/services/collector/", "https://s.example:8088"),
        ("https://s.example:8088/services/collector/event", "https://s.example:8088"),
        ("https://s.example:8088/services/collector/event/1.0", "https://s.example:8088"),
        ("https://s.example/splunk/services/collector/1.0", "https://s.example/splunk"),
        ("https://s.example/splunk/", "https://s.example/splunk"),
    ],
)
def test_a_url_may_name_the_endpoint(url: str, base: str) -> None:
    """People write the base or what other shippers want."""
    assert [base] == [target.url for target in _config(url=url).targets]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "https://s.example/services/collector/raw"}, "/services/collector/event"),
        ({"url": "https://s.example/?token=x"}, "without"),
        ({"url": "https://x:t@s.example/"}, "`token`"),
        ({"ack_timeout": "500ms"}, "greater than or equal to 1"),
        ({"index": "Main Index"}, "pattern"),
        ({"indexes": {"acme": "-x"}}, "pattern"),
        ({"host": ""}, "at least 1"),
        ({"token": ""}, "empty"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], words: str) -> None:
    """The message says what to write."""
    with pytest.raises(ValidationError, match=words):
        _config(**options)


def test_acknowledgement_is_asked_for_by_default() -> None:
    """The contract's word for accepted is the indexer's; five minutes is what Splunk may take."""
    sink = _config().build()
    assert sink.acknowledgements
    assert 300.0 == sink.acknowledgements.timeout_secs
    assert _config(ack=False).build().acknowledgements is None
    assert sink.most_at_once > 1
