"""The peers of a measurement, in a process of their own: an API that has answers ready, and receivers that count."""

import asyncio
import signal
import sys
from collections import Counter
from datetime import datetime

import msgspec
from aiohttp import web

from tests.benchmarks.pages import make_pages
from tests.benchmarks.stream_peers import DatagramCounter, OctetCounter, RelpCounter

_TOKEN = b'{"access_token":"bench","token_type":"Bearer","expires_in":1799}'
_PRODUCT = b'{"version":{"number":"9.1.0","build_flavor":"default"},"tagline":"You Know, for Search"}'
_CREATED = b'{"create":{"status":201}}'


class Addresses(msgspec.Struct, frozen=True):
    """Where the peers listen: the base URL of all that is HTTP, and the ports of the syslog receivers."""

    http: str
    tcp: int
    udp: int
    relp: int


Received = Counter[str]
"""How many events have come, by the destination's name."""


def api(pages: list[bytes]) -> list[web.RouteDef]:
    """Return Mimecast: the token, and the finder's pages."""

    async def token(_request: web.Request) -> web.Response:
        return web.Response(body=_TOKEN, content_type="application/json")

    async def finder(request: web.Request) -> web.Response:
        question = msgspec.json.decode(await request.read())
        number = int(question["meta"]["pagination"].get("pageToken", 0))
        return web.Response(body=pages[number], content_type="application/json")

    return [web.post("/oauth/token", token), web.post("/api/message-finder/search", finder)]


def receivers(received: Received) -> list[web.RouteDef]:
    """Return a web hook, Elasticsearch and Splunk; each counts and says yes."""
    numbers = Counter[str]()

    async def hook(request: web.Request) -> web.Response:
        received[request.match_info["name"]] += (await request.read()).count(b"\n")
        return web.Response()

    async def product(_request: web.Request) -> web.Response:
        headers = {"X-Elastic-Product": "Elasticsearch"}
        return web.Response(body=_PRODUCT, headers=headers, content_type="application/json")

    async def bulk(request: web.Request) -> web.Response:
        count = (await request.read()).count(b"\n") // 2
        received[request.match_info["name"]] += count
        answer = b'{"errors":false,"items":[%b]}' % b",".join([_CREATED] * count)
        return web.Response(body=answer, content_type="application/json")

    async def collector(request: web.Request) -> web.Response:
        body = await request.read()
        channel = request.headers.get("X-Splunk-Request-Channel")
        answer: dict[str, str | int] = {"text": "Success", "code": 0}
        if body:
            received[request.match_info["name"]] += body.count(b"\n") + 1
        if body and channel:
            answer["ackId"] = numbers[channel]
            numbers[channel] += 1
        return web.json_response(answer)

    async def acknowledged(request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read())["acks"]
        return web.json_response({"acks": {str(number): True for number in asked}})

    return [
        web.post("/in/{name}", hook),
        web.get("/es/{name}/", product),
        web.post("/es/{name}/{target}/_bulk", bulk),
        web.post("/hec/{name}/services/collector/event", collector),
        web.post("/hec/{name}/services/collector/ack", acknowledged),
    ]


def totals(received: Received, datagrams: DatagramCounter) -> list[web.RouteDef]:
    """Return what the benchmark itself asks: ``/received``, and ``/forget`` before each run."""

    async def tell(_request: web.Request) -> web.Response:
        return web.json_response({**received, datagrams.name: datagrams.total()})

    async def forget(_request: web.Request) -> web.Response:
        received.clear()
        datagrams.forget()
        return web.Response()

    return [web.get("/received", tell), web.post("/forget", forget)]


async def serve(page_count: int, end: datetime) -> None:
    """Serve until SIGTERM; the one line printed is the addresses as JSON."""
    received = Received()
    loop = asyncio.get_running_loop()
    datagrams = DatagramCounter("syslog_udp")
    loop.add_reader(datagrams.descriptor, datagrams.drain)
    tcp = await loop.create_server(lambda: OctetCounter("syslog_tcp", received), "127.0.0.1")
    relp = await loop.create_server(lambda: RelpCounter("syslog_relp", received), "127.0.0.1")
    app = web.Application(client_max_size=2**30)
    app.add_routes([*api(make_pages(page_count, end)), *receivers(received), *totals(received, datagrams)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    ports = (tcp.sockets[0].getsockname()[1], datagrams.port, relp.sockets[0].getsockname()[1])
    sys.stdout.write(msgspec.json.encode(Addresses(f"http://{host}:{port}", *ports)).decode() + "\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), datetime.fromisoformat(sys.argv[2])))
