"""Virtual time."""

import asyncio
import time

import pytest

from tests.virtual.loop import StuckError, run_virtually, virtual_loop


def test_time_jumps_to_the_next_timer() -> None:
    """A sleep of a week takes a week of the loop's time and next to nothing of ours."""

    async def main() -> float:
        await asyncio.sleep(7 * 86400)
        return virtual_loop().time()

    began = time.perf_counter()
    assert 7 * 86400 == pytest.approx(run_virtually(main()))
    assert time.perf_counter() - began < 1


def test_work_on_threads_takes_no_virtual_time() -> None:
    """While a thread works, no timer fires."""

    async def main() -> tuple[float, bool]:
        loop = virtual_loop()
        fired = asyncio.Event()
        loop.call_later(0.001, fired.set)
        await asyncio.to_thread(time.sleep, 0.05)
        return loop.time(), fired.is_set()

    assert (0.0, False) == run_virtually(main())


def test_bytes_on_their_way_arrive_before_time_jumps() -> None:
    """A conversation over loopback sockets, marked as under way, is over before the next timer fires."""

    async def main() -> float:
        loop = virtual_loop()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            ticking = loop.call_later(0.5, lambda: None)
            with loop.request():
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"ping")
                assert b"ping" == await reader.readexactly(4)
            ticking.cancel()
            writer.close()
            await writer.wait_closed()
            return loop.time()

    assert 0.0 == run_virtually(main())


def test_a_wait_without_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can happen any more, the run ends with an error instead of hanging."""
    monkeypatch.setattr("tests.virtual.loop._STUCK_SECS", 0.05)

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StuckError):
        run_virtually(main())
