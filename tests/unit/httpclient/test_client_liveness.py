"""A request as the registry of loops sees it."""

import asyncio
import time

from mcwatch.httpclient.client import ClientOptions, HttpClient
from mcwatch.telemetry.liveness import ALLOWANCE_SECS, Liveness


async def test_a_request_is_a_rest_until_its_time_limit() -> None:
    """Whatever limit is configured: a loop that waits for an answer is not judged before."""
    asked = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    liveness = Liveness(time.monotonic)

    async def ask() -> None:
        async with HttpClient(ClientOptions(timeout_secs=7200.0)) as client:
            await client.request("GET", f"http://127.0.0.1:{port}/")

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, asyncio.TaskGroup() as group:
        asking = group.create_task(liveness.watched("poll", ask))
        await asked.wait()
        due_at = time.monotonic() + 7200.0
        assert [] == liveness.stuck(due_at + ALLOWANCE_SECS - 60)
        assert [("poll", "request")] == [(one.name, one.reason) for one in liveness.stuck(due_at + ALLOWANCE_SECS + 1)]
        asking.cancel()
