"""The addresses of brokers."""

import pytest

from mcwatch.sinks.kafka.endpoint import Endpoint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kafka.example:9093", Endpoint("kafka.example", 9093)),
        ("192.0.2.1:1", Endpoint("192.0.2.1", 1)),
        ("[2001:db8::1]:65535", Endpoint("2001:db8::1", 65535)),
    ],
)
def test_is_read_and_written_alike(text: str, expected: Endpoint) -> None:
    """Host and port are taken apart and put together again."""
    assert expected == Endpoint.parse(text)
    assert text == str(expected)


@pytest.mark.parametrize("text", ["kafka.example", "kafka.example:0", "kafka:65536", "::1:9092", "k:9/x", ":1", ""])
def test_anything_else_says_what_is_expected(text: str) -> None:
    """What is no address is refused with the way to write one."""
    with pytest.raises(ValueError, match="write host:port"):
        Endpoint.parse(text)
