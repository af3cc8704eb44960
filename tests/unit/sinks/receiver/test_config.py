"""The options of all sinks over HTTP."""

from typing import Literal
from uuid import UUID

import pytest
from pydantic import ValidationError
from typing_extensions import override

from mcwatch.interfaces import Sink
from mcwatch.sinks.receiver import ReceiverConfig, Target, basic
from tests.fakes.sink import FakeSink


class _Config(ReceiverConfig):
    type: Literal["x"] = "x"

    @override
    def build(self, channel: UUID | None = None) -> Sink:
        return FakeSink()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("hook.example/in", "https://host"),
        ("ftp://hook.example/", "https://host"),
        ("http://hook.example:99999/", "https://host"),
        ("http://hook.example:0/", "https://host"),
        ("http://hook.example/a b", "percent"),
        ("http://hook.example/a\n", "percent"),
        ([], "at least 1"),
        (["https://a.example/", "hunter2"], "https://host"),
        (["https://a.example/in", "https://a.example/in"], "twice"),
        (["https://u:hunter2@a.example/", "https://a.example/"], "twice"),
        (["https://u:hunter2@a.example/", "https://b.example/"], "different users"),
    ],
)
def test_urls_that_cannot_work(url: str | list[str], words: str) -> None:
    """Each wrong URL is refused without being quoted: it may hold a credential."""
    with pytest.raises(ValidationError, match=words) as failure:
        _Config.model_validate({"url": url})
    assert "hunter2" not in str(failure.value)


def test_one_url_or_several() -> None:
    """A URL is the list of one; users and passwords leave the URLs and become one header."""
    assert [Target("https://a.example/in")] == _Config.model_validate({"url": "https://a.example/in"}).targets
    config = _Config.model_validate({"url": ["https://u%40x:p%3A@a.example/in?k=1", "https://u%40x:p%3A@[::1]:9/in"]})
    assert [Target("https://a.example/in?k=1"), Target("https://[::1]:9/in")] == config.targets
    assert basic("u@x", "p:") == config.url_user
    assert _Config.model_validate({"url": "https://a.example/"}).url_user is None
    assert "a.example" not in repr(config)


@pytest.mark.parametrize(
    ("url", "peer"),
    [
        ("https://hook.example/in?token=x", "https://hook.example"),
        ("http://hook.example:8080/", "http://hook.example:8080"),
        ("https://[2001:db8::1]:8443/in", "https://[2001:db8::1]:8443"),
    ],
)
def test_messages_name_host_and_port_alone(url: str, peer: str) -> None:
    """Neither path nor query is shown."""
    assert peer == Target(url).peer
    assert "token" not in repr(Target(url))


@pytest.mark.parametrize(
    ("url", "path", "expected"),
    [
        ("https://h.example", "/_bulk", "https://h.example/_bulk"),
        ("https://h.example/es/", "/_bulk?a=1", "https://h.example/es/_bulk?a=1"),
        ("https://h.example/in?k=1", "", "https://h.example/in?k=1"),
    ],
)
def test_a_path_goes_behind_the_urls_own(url: str, path: str, expected: str) -> None:
    """A receiver behind a prefix is found under it."""
    assert expected == Target(url).with_path(path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://hook.example/", True),
        ("https://hook.example/", False),
        ("http://127.0.0.1:8080/", False),
        ("http://[::1]/", False),
        ("http://localhost/", False),
    ],
)
def test_what_crosses_a_network_in_the_clear(url: str, expected: bool) -> None:
    """Only plain HTTP to another machine does."""
    assert expected is Target(url).is_in_the_clear
