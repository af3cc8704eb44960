"""Waiting for the peer's acknowledgement."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from mcwatch.sinks.syslog.connection import Connection, LostError


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Give a listening socket on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(0)
        yield sock


async def _connected(
    listener: socket.socket, outstanding: list[int | None]
) -> tuple[Connection, socket.socket, list[int]]:
    """Connect; the kernel's figure is taken from ``outstanding``, its last one for ever. Also return the questions."""
    asked: list[int] = []

    def answer(descriptor: int) -> int | None:
        asked.append(descriptor)
        return outstanding.pop(0) if len(outstanding) > 1 else outstanding[0]

    address = (socket.AF_INET, listener.getsockname())
    connection = await Connection.open(address, None, user_timeout_secs=1, outstanding=answer)
    peer, _ = await asyncio.get_running_loop().sock_accept(listener)
    return connection, peer, asked


async def test_asks_until_nothing_is_outstanding(listener: socket.socket) -> None:
    """A send ends with the first answer that nothing is left."""
    connection, peer, asked = await _connected(listener, [300, 200, 100, 0])
    with peer:
        await connection.send(b"x" * 300)
        connection.close()
    assert len(asked) == 4


async def test_without_the_kernels_word_a_quiet_period_must_do(listener: socket.socket) -> None:
    """Where the kernel cannot be asked, a peer that stays connected is taken to have the bytes."""
    connection, peer, asked = await _connected(listener, [None])
    with peer:
        await connection.send(b"x")
        connection.close()
    assert len(asked) == 1


async def test_a_peer_that_closes_while_bytes_are_outstanding_has_not_accepted_them(listener: socket.socket) -> None:
    """An end of file during the wait is a lost connection."""
    connection, peer, _ = await _connected(listener, [300])
    sending = asyncio.create_task(connection.send(b"x" * 300))
    await asyncio.get_running_loop().sock_recv(peer, 1)
    peer.close()
    with pytest.raises(LostError):
        await sending
    connection.close()


async def test_a_peer_that_closed_before_gets_nothing(listener: socket.socket) -> None:
    """A connection found closed refuses to send, even where its end was not yet noticed."""
    connection, peer, asked = await _connected(listener, [0])
    peer.close()
    with pytest.raises(LostError):
        await connection.send(b"x")
    connection.close()
    assert asked == []


async def test_what_a_peer_says_is_not_kept(listener: socket.socket) -> None:
    """A receiver that talks back does no harm."""
    connection, peer, _ = await _connected(listener, [0])
    with peer:
        peer.send(b"hello" * 1000)
        await connection.send(b"x")
        connection.close()
    assert connection.lost is False
