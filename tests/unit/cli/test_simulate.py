"""``mcwatch simulate``, as a process of its own."""

import asyncio
import signal
import socket
import sys

import pytest

from mcwatch.httpclient.client import ClientOptions, HttpClient
from tests.unit.cli.programs import Program


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_serves_until_it_is_stopped(stop: signal.Signals) -> None:
    """It says where it listens and whom it knows, answers there, and ends with 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mcwatch", "simulate", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().removeprefix("base_url: ").strip()
    account = (await process.stdout.readline()).decode()
    async with HttpClient(ClientOptions()) as client:
        status = (await client.request("POST", f"{url}/oauth/token")).status
    process.send_signal(stop)
    rest = (await process.stdout.read()).decode()

    assert await process.wait() == 0
    assert account == "account: demo\n"
    assert 400 <= status < 500
    assert "client_secret: demo-secret" in rest


def test_a_port_in_use_is_told(program: Program) -> None:
    """The message names option and address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = program.run("simulate", "--port", str(port))

    assert finished.code == 78
    assert f"--port: cannot listen on 127.0.0.1:{port}" in finished.err


def test_an_unknown_fault_profile_is_told(program: Program) -> None:
    """With the nearest, or with the ones there are."""
    for given, words in (("choas", "did you mean chaos?"), ("tempest", "there are binding, chaos")):
        for command in ("simulate", "demo"):
            finished = program.run(command, "--faults", given)

            assert finished.code == 2
            assert words in " ".join(finished.err.split())
