"""Virtual time."""

import asyncio
import socket
import threading
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


def test_bytes_that_the_kernel_keeps_for_a_while_arrive_before_time_jumps() -> None:
    """However long what was sent takes in real time, the one who waits for it does not run out of virtual time."""

    async def main() -> float:
        loop = virtual_loop()
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer() -> None:
                connection, _ = server.accept()
                with connection:
                    time.sleep(0.05)
                    connection.sendall(b"pong")

            thread = threading.Thread(target=answer)
            thread.start()
            with loop.request():
                async with asyncio.timeout(30):
                    reader, writer = await asyncio.open_connection(*server.getsockname())
                    assert b"pong" == await reader.readexactly(4)
            writer.close()
            await writer.wait_closed()
            thread.join()
        return loop.time()

    assert 0.0 == run_virtually(main())


def test_a_stalled_answer_lets_time_pass() -> None:
    """A request that waits for a timer of its server does not hold time, not even after it was given up."""

    async def main() -> float:
        loop = virtual_loop()
        with loop.request() as number:
            stalled = loop.stalled(number)
            stalled.__enter__()
            await asyncio.sleep(30)
        await asyncio.sleep(30)
        stalled.__exit__(None, None, None)
        return loop.time()

    assert 60.0 == run_virtually(main())


def test_a_request_that_nobody_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time does not jump to the next timer while a request is neither answered nor stalled, beside one that is."""
    monkeypatch.setattr("tests.virtual.loop._STUCK_SECS", 0.05)

    async def main() -> None:
        loop = virtual_loop()
        with loop.request() as number, loop.stalled(number), loop.request():
            await asyncio.sleep(30)

    with pytest.raises(StuckError):
        run_virtually(main())


def test_a_wait_without_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can happen any more, the run ends with an error instead of hanging."""
    monkeypatch.setattr("tests.virtual.loop._STUCK_SECS", 0.05)

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StuckError):
        run_virtually(main())
