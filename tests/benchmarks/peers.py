"""The two peers of a measurement, in a process of their own: an API that has answers ready, a receiver that counts."""

import asyncio
import signal
import sys
from datetime import datetime

import msgspec
from aiohttp import web

from tests.benchmarks.pages import make_pages

_TOKEN = b'{"access_token":"bench","token_type":"Bearer","expires_in":1799}'


def application(pages: list[bytes]) -> web.Application:
    """Return the server: the token, the finder's pages, and ``/in``, whose total ``/received`` tells."""
    received = {"events": 0}

    async def token(_request: web.Request) -> web.Response:
        return web.Response(body=_TOKEN, content_type="application/json")

    async def finder(request: web.Request) -> web.Response:
        question = msgspec.json.decode(await request.read())
        number = int(question["meta"]["pagination"].get("pageToken", 0))
        return web.Response(body=pages[number], content_type="application/json")

    async def take(request: web.Request) -> web.Response:
        received["events"] += (await request.read()).count(b"\n")
        return web.Response()

    async def total(_request: web.Request) -> web.Response:
        return web.json_response(received)

    app = web.Application(client_max_size=2**30)
    app.add_routes(
        [
            web.post("/oauth/token", token),
            web.post("/api/message-finder/search", finder),
            web.post("/in/{name}", take),
            web.get("/received", total),
        ]
    )
    return app


async def serve(page_count: int, end: datetime) -> None:
    """Serve until SIGTERM; the first line printed is the base URL."""
    runner = web.AppRunner(application(make_pages(page_count, end)), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), datetime.fromisoformat(sys.argv[2])))
