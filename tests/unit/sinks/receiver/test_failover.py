"""One receiver behind several URLs."""

import asyncio

import pytest
from aiohttp import web

from mcwatch.domain.errors import FailureReason, MisconfiguredError, TransientError
from mcwatch.sinks.receiver import Receiver, ReceiverOptions, Target
from tests.unit.httpclient.servers import http_server, raw_server
from tests.unit.sinks.receiver.servers import Server, receiver_of, servers


async def test_the_first_url_is_used_while_it_works() -> None:
    """Without trouble the others get nothing."""
    async with servers(2) as (first, second):
        receiver = receiver_of(first, second)
        answers = [await receiver.send("POST") for _ in range(3)]
        await receiver.close()
    assert [(0, first.url)] * 3 == [(answer.target, answer.peer) for answer in answers]
    assert [] == second.requests


async def test_a_connection_that_cannot_be_made_goes_on_at_once() -> None:
    """One send finds the server that is up, and the next begins there."""
    async with servers(1) as (up,):
        receiver = receiver_of(Server(), Server(), up)
        assert [2, 2] == [(await receiver.send("POST")).target for _ in range(2)]
        assert (up.url, range(3)) == (receiver.peer, receiver.targets)
        await receiver.close()


async def test_a_connection_that_breaks_goes_on_at_once() -> None:
    """A reset before the answer brings the events to the next URL: maybe twice, with the same ids, never none."""
    async with raw_server(reset=True) as port, servers(1) as (up,):
        broken = Server()
        broken.url = f"http://127.0.0.1:{port}"
        receiver = receiver_of(broken, up)
        assert 1 == (await receiver.send("POST", body=b"x")).target
        await receiver.close()


async def test_all_urls_down_is_one_error_that_tells_of_each() -> None:
    """Each URL was tried once, and the message names them all."""
    down = [Server(), Server()]
    receiver = receiver_of(*down)
    with pytest.raises(TransientError) as failure:
        await receiver.send("POST")
    await receiver.close()
    assert FailureReason.CONNECTION == failure.value.reason
    assert all(server.url.removeprefix("http://") in str(failure.value) for server in down)
    assert failure.value.__cause__ is not None


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_5xx_goes_on_with_the_next_attempt(status: int) -> None:
    """The answer is given back; a server that only ever fails does not keep the batch from its neighbour."""
    async with servers(2) as (first, second):
        first.status = status
        receiver = receiver_of(first, second)
        answers = [await receiver.send("POST") for _ in range(2)]
        await receiver.close()
    assert [(0, status), (1, 200)] == [(answer.target, answer.response.status) for answer in answers]


async def test_a_time_out_goes_on_with_the_next_attempt() -> None:
    """A send lasts no longer than one time-out."""
    async with raw_server(mute=True) as port, servers(1) as (up,):
        mute = Server()
        mute.url = f"http://127.0.0.1:{port}"
        receiver = receiver_of(mute, up, timeout_secs=0.1)
        with pytest.raises(TransientError) as failure:
            await receiver.send("POST")
        assert FailureReason.TIMEOUT == failure.value.reason
        assert "raise sink.timeout or lower batch.max_events" in failure.value.remedy
        assert 1 == (await receiver.send("POST")).target
        await receiver.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 301])
async def test_a_no_is_not_passed_over(status: int) -> None:
    """A URL that refuses the credential, or the events, is asked again and not hidden by its neighbour."""
    async with servers(2) as (first, second):
        first.status = status
        receiver = receiver_of(first, second)
        assert [0, 0] == [(await receiver.send("POST")).target for _ in range(2)]
        await receiver.close()
    assert [] == second.requests


@pytest.mark.parametrize(("status", "then"), [(401, 0), (404, 0), (301, 0), (400, 1), (413, 1), (429, 1), (200, 1)])
async def test_a_substitute_that_refuses_us_hands_back(status: int, then: int) -> None:
    """A second URL with a wrong credential is told of, and does not keep the events from a first that is up again."""
    async with servers(2) as (first, second):
        second.status = status
        receiver = receiver_of(first, second)
        first.status = 503
        await receiver.send("POST")
        first.status = 200
        assert (1, status) == ((answer := await receiver.send("POST")).target, answer.response.status)
        assert then == (await receiver.send("POST")).target
        await receiver.close()


async def test_a_substitute_without_tls_hands_back() -> None:
    """So does one whose certificate or protocol is wrong."""
    async with servers(2) as (first, second):
        receiver = Receiver(
            ReceiverOptions(targets=[Target(first.url), Target(second.url.replace("http://", "https://"))])
        )
        first.status = 503
        await receiver.send("POST")
        first.status = 200
        with pytest.raises(MisconfiguredError):
            await receiver.send("POST")
        assert 0 == (await receiver.send("POST")).target
        await receiver.close()


async def test_a_named_target_is_asked_and_no_other() -> None:
    """Questions to one server neither fail over nor change where deliveries go."""
    async with servers(2) as (first, second):
        receiver = receiver_of(first, second, Server())
        first.status = second.status = 503
        assert (0, 503) == ((answer := await receiver.send("GET", target=0)).target, answer.response.status)
        assert (1, 503) == ((answer := await receiver.send("GET", target=1)).target, answer.response.status)
        with pytest.raises(TransientError):
            await receiver.send("GET", target=2)
        assert 0 == (await receiver.send("POST")).target
        await receiver.close()


async def test_deliveries_side_by_side_all_find_the_server_that_is_up() -> None:
    """However their failures interleave, each tries every URL once."""
    arrived = 0
    together = asyncio.Event()

    async def fail(request: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        if arrived == 8:
            together.set()
        await together.wait()
        assert request.transport
        request.transport.abort()
        return web.Response()

    async with http_server(fail) as port, servers(1) as (up,):
        broken = Server()
        broken.url = f"http://127.0.0.1:{port}"
        receiver = receiver_of(Server(), broken, Server(), up)
        async with asyncio.TaskGroup() as group:
            sends = [group.create_task(receiver.send("POST", body=b"x")) for _ in range(8)]
        await receiver.close()
    assert [3] * 8 == [send.result().target for send in sends]


@pytest.mark.parametrize(
    ("urls", "header", "expected"),
    [
        (["http://a.example"], "authorization", True),
        (["https://a.example", "http://b.example"], "Authorization", True),
        (["https://a.example"], "Authorization", False),
        (["http://a.example"], "X-Key", False),
        (["http://127.0.0.1"], "Authorization", False),
    ],
)
def test_a_credential_in_the_clear_is_noticed(urls: list[str], header: str, expected: bool) -> None:
    """One URL of plain HTTP to another machine is enough."""
    targets = [Target(url) for url in urls]
    assert expected is Receiver(ReceiverOptions(targets=targets, headers=[(header, str)])).shows_credential
