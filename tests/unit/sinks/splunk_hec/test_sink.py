"""The sink without acknowledgement, against a strict HEC."""

import gzip
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch
from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    ThrottledError,
    TransientError,
)
from tests.contract.sink_events import batch_of, event, event_document, large, numbered
from tests.fakes.hec import TOKEN, Hec, Token, said
from tests.unit.sinks.splunk_hec.conftest import Configure


@pytest.fixture(autouse=True)
def _without_ack(hec: Hec) -> None:
    hec.tokens[TOKEN].has_ack = False


def _numbers(hec: Hec) -> list[int]:
    return [int(one["event_id"], 16) for one in hec.events]


async def test_a_batch_is_one_request(hec: Hec, configure: Configure) -> None:
    """Token, endpoint, packing; and no channel, for nobody would ask for the numbers it brings."""
    async with configure(ack=False).build() as sink:
        assert ALL_ACCEPTED == await sink.deliver(numbered(3))
    (request,) = hec.requests
    assert ("POST", "/services/collector/event") == (request.method, request.path)
    assert f"Splunk {TOKEN}" == request.headers["Authorization"]
    assert ("gzip", "application/json") == (request.headers["Content-Encoding"], request.content_type)
    assert "X-Splunk-Request-Channel" not in request.headers
    assert [0, 1, 2] == _numbers(hec)


async def test_large_bodies_arrive_packed_or_not(hec: Hec, configure: Configure) -> None:
    """A megabyte takes the way through a thread."""
    for compression in ("gzip", "none"):
        async with configure(ack=False, compression=compression).build() as sink:
            await sink.deliver(large())
    assert hec.bodies[0] == hec.bodies[1]
    assert gzip.compress(hec.bodies[0])  # what the server saw is unpacked
    assert 500 == len(hec.indexed)


@pytest.mark.parametrize("bad_at", [0, 1, 4])
async def test_a_blank_event_is_refused_alone(hec: Hec, configure: Configure, bad_at: int) -> None:
    """What comes before it is indexed, what comes behind it goes again."""
    payloads = [b"  " if number == bad_at else b"text" for number in range(5)]
    async with configure(ack=False).build() as sink:
        verdicts = await sink.deliver(Batch(numbered(5).native, payloads, "text/plain"))
    assert [bad_at] == list(verdicts.refused)
    assert frozenset(range(bad_at + 1, 5)) == verdicts.retry
    assert bad_at == len(hec.indexed)


async def test_a_full_queue_takes_part_of_a_batch(hec: Hec, configure: Configure) -> None:
    """The rest goes again and nothing twice."""
    hec.room = 2
    async with configure(ack=False).build() as sink:
        verdicts = await sink.deliver(numbered(5))
        with pytest.raises(ThrottledError):
            await sink.deliver(numbered(3, start=2))
        hec.room = None
        assert ALL_ACCEPTED == await sink.deliver(numbered(3, start=2))
    assert frozenset({2, 3, 4}) == verdicts.retry
    assert [0, 1, 2, 3, 4] == _numbers(hec)


async def test_a_wrong_index_in_the_middle_parks_without_repeating_what_is_indexed(
    hec: Hec, configure: Configure
) -> None:
    """The rest alone shows what is wrong, however often it is tried, and no event is given up."""
    hec.tokens[TOKEN].indexes = {"mail"}
    batch = batch_of(event(0), event(1), msgspec.json.encode(event_document(2) | {"account": "globex"}), event(3))
    async with configure(ack=False, index="mail", indexes={"globex": "typo"}).build() as sink:
        verdicts = await sink.deliver(batch)
        for _ in range(2):
            with pytest.raises(MisconfiguredError) as failure:
                await sink.deliver(batch.slice(2, 4))
            assert "index" in failure.value.remedy
    assert ({}, frozenset({2, 3})) == (verdicts.refused, verdicts.retry)
    assert [0, 1] == _numbers(hec)


@pytest.mark.parametrize("is_cloud", [True, False])
async def test_what_is_too_large_is_halved(hec: Hec, configure: Configure, is_cloud: bool) -> None:
    """By 413, or by Splunk Cloud's complaint about the first event."""
    hec.largest_bytes, hec.is_cloud = 1500, is_cloud
    async with configure(ack=False).build() as sink:
        with pytest.raises(PermanentError) as failure:
            await sink.deliver(numbered(4))
        assert ALL_ACCEPTED == await sink.deliver(numbered(1))
        with pytest.raises(PermanentError) as alone:
            await sink.deliver(large().slice(0, 1))
    assert FailureReason.TOO_LARGE is failure.value.reason
    assert (PermanentError, PermanentError) == (failure.type, alone.type)


async def test_a_token_disabled_mid_stream_gives_nothing_up(hec: Hec, configure: Configure) -> None:
    """The destination is down until it is enabled again."""
    async with configure(ack=False).build() as sink:
        await sink.deliver(numbered(1))
        hec.tokens[TOKEN].is_enabled = False
        with pytest.raises(AuthError, match="disabled") as failure:
            await sink.deliver(numbered(1, start=1))
        hec.tokens[TOKEN].is_enabled = True
        await sink.deliver(numbered(1, start=1))
    assert "enable" in failure.value.remedy
    assert [0, 1] == _numbers(hec)


async def test_a_changed_token_file_counts_at_once(hec: Hec, configure: Configure, tmp_path: Path) -> None:
    """A token replaced on both sides needs no restart."""
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    async with configure(ack=False, token={"file": str(file)}).build() as sink:
        await sink.deliver(numbered(1))
        hec.tokens = {"new": Token(has_ack=False)}
        with pytest.raises(AuthError):
            await sink.deliver(numbered(1))
        file.write_text("new")
        assert ALL_ACCEPTED == await sink.deliver(numbered(1, start=1))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (web.Response(status=200, text="<html>sign in</html>", content_type="text/html"), MisconfiguredError),
        (web.Response(status=503, text="<html>busy</html>", content_type="text/html"), TransientError),
        (web.Response(status=502), TransientError),
        (said(23), TransientError),
        (said(26), ThrottledError),
    ],
)
async def test_a_proxy_s_page_and_a_busy_server_accept_nothing(
    hec: Hec, configure: Configure, answer: web.Response, kind: type[McwatchError]
) -> None:
    """Status 200 alone is no yes."""
    hec.answers.append(answer)
    async with configure(ack=False).build() as sink:
        with pytest.raises(kind):
            await sink.deliver(numbered(2))
        assert ALL_ACCEPTED == await sink.deliver(numbered(2))


async def test_a_token_that_wants_a_channel_is_a_setting_to_change(hec: Hec, configure: Configure) -> None:
    """With ack: false a token with acknowledgement would collect numbers that nobody asks for."""
    hec.tokens[TOKEN].has_ack = True
    async with configure(ack=False).build() as sink:
        with pytest.raises(MisconfiguredError) as failure:
            await sink.deliver(numbered(1))
    assert "ack: false" in failure.value.remedy


async def test_another_url_takes_over(hec: Hec, configure: Configure) -> None:
    """A URL that refuses the connection, or is busy, is left for the next one."""
    async with Hec() as other, configure(ack=False, url=["http://127.0.0.1:9", hec.url, other.url]).build() as sink:
        other.tokens[TOKEN].has_ack = False
        await sink.deliver(numbered(1))
        hec.answers.append(said(9))
        with pytest.raises(ThrottledError):
            await sink.deliver(numbered(1, start=1))
        await sink.deliver(numbered(1, start=1))
        assert ([0], [1]) == (_numbers(hec), _numbers(other))


async def test_check_proves_the_token_without_an_event(hec: Hec, configure: Configure) -> None:
    """An empty request gets as far as `no data` only with a good token."""
    async with configure(ack=False).build() as sink:
        assert f"{hec.url}: healthy, token accepted" == await sink.check()
    assert [] == hec.indexed


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"is_healthy": False}, ThrottledError),
        ({"tokens": {}}, AuthError),
        ({"tokens": {TOKEN: Token(is_enabled=False)}}, AuthError),
        ({"tokens": {TOKEN: Token(has_ack=True)}}, MisconfiguredError),
    ],
)
async def test_check_says_what_is_wrong(
    hec: Hec, configure: Configure, change: dict[str, object], kind: type[McwatchError]
) -> None:
    """Health first, then token, then what the token wants."""
    for name, value in change.items():
        setattr(hec, name, value)
    async with configure(ack=False).build() as sink:
        with pytest.raises(kind):
            await sink.check()


async def test_check_asks_every_url(hec: Hec, configure: Configure) -> None:
    """A second URL that is wrong would show only when it is needed."""
    async with Hec() as other, configure(ack=False, url=[hec.url, other.url]).build() as sink:
        other.tokens = {}
        with pytest.raises(AuthError, match=other.url):
            await sink.check()


async def test_check_recognises_a_web_server_that_is_no_hec(hec: Hec, configure: Configure) -> None:
    """A page that says 200 to everything is not healthy."""
    page = web.Response(status=200, text="<html>welcome</html>", content_type="text/html")
    hec.answers += [lambda _request: web.Response(text=page.text), page]
    async with configure(ack=False).build() as sink:
        with pytest.raises(MisconfiguredError) as failure:
            await sink.check()
    assert FailureReason.BAD_RESPONSE is failure.value.reason


async def test_check_warns_of_a_token_in_the_clear(configure: Configure) -> None:
    """Loopback excepted."""
    sink = configure(ack=False, url="http://splunk.example:8088").build()
    assert "clear" in " ".join(sink._warnings())  # type: ignore[attr-defined]
