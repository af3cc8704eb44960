"""Accounts that share connections: each is asked with its own credentials, over a few connections together."""

import random

from aiohttp import web

from mcwatch.httpclient.connections import SharedConnections
from mcwatch.mimecast.client import MimecastClient
from mcwatch.mimecast.config import ApiConfig
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.envelope import AnswerDecoder
from mcwatch.sources.processing_queue import QueueItem
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.unit.httpclient.servers import http_server


async def test_accounts_share_connections_and_nothing_else() -> None:
    """Twenty accounts need one connection one after the other, and every request bears its own account's token."""
    peers, seen = set[object](), list[str]()

    async def answer(request: web.Request) -> web.StreamResponse:
        text = await request.text()
        peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        if request.path == "/oauth/token":
            token = text.partition("client_id=")[2].partition("&")[0]
            return web.json_response({"access_token": token, "expires_in": 1799})
        seen.append(request.headers["Authorization"])
        return web.json_response({"meta": {"status": 200}, "fail": [], "data": []})

    names = [f"account-{number}" for number in range(20)]
    async with http_server(answer) as port, SharedConnections() as shared:
        for name in names:
            auth = {"type": "oauth2", "client_id": name, "client_secret": "hush"}
            config = ApiConfig.model_validate({"auth": auth, "base_url": f"http://127.0.0.1:{port}"})
            async with MimecastClient(
                name, config, clock=FakeClock(), metrics=Metrics(), rng=random.Random(1), connections=shared
            ) as client:
                await client.call(Endpoint.PROCESSING_QUEUE, {"type": "processing"}, AnswerDecoder(QueueItem))
    assert [f"Bearer {name}" for name in names] == seen
    assert len(peers) == 1
