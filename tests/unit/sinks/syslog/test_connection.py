"""Waiting for the peer's acknowledgement."""

import asyncio
import socket
import ssl
import sys
from collections.abc import Iterator

import pytest
import trustme

from mcwatch.sinks.syslog.connection import Connection, LostError, unacknowledged_bytes
from mcwatch.sinks.syslog.translate import turned_away

_MORE_THAN_BUFFERS_HOLD = bytes(2**24)


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


async def test_the_first_send_can_end_within_a_short_time_out(listener: socket.socket) -> None:
    """The wait for being turned away is never longer than half the time for sending."""
    address = (socket.AF_INET, listener.getsockname())
    connection = await Connection.open(address, None, user_timeout_secs=0.02)
    peer, _ = await asyncio.get_running_loop().sock_accept(listener)
    with peer:
        async with asyncio.timeout(0.14):
            await connection.send(b"x")
        connection.close()


async def test_what_a_peer_says_is_not_kept(listener: socket.socket) -> None:
    """A receiver that talks back does no harm."""
    connection, peer, _ = await _connected(listener, [0])
    with peer:
        peer.send(b"hello" * 1000)
        await connection.send(b"x")
        connection.close()
    assert connection.lost is False


@pytest.mark.skipif(sys.platform != "linux", reason="the figure is Linux's")
async def test_the_kernel_says_what_the_peer_has_not_taken(listener: socket.socket) -> None:
    """While the peer's buffers are full a send goes on; once they are read it ends, and nothing is outstanding."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    loop = asyncio.get_running_loop()
    connection = await Connection.open((socket.AF_INET, listener.getsockname()), None, user_timeout_secs=1)
    peer, _ = await loop.sock_accept(listener)
    with peer:
        peer.settimeout(0)
        connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
        data = b"x" * 200_000
        sending = asyncio.create_task(connection.send(data))
        await asyncio.sleep(0.05)
        assert not sending.done()
        assert unacknowledged_bytes(connection._sock.fileno())
        received = 0
        while received < len(data):
            received += len(await loop.sock_recv(peer, 65536))
        await sending
        assert unacknowledged_bytes(connection._sock.fileno()) == 0
        connection.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the option is Linux's")
async def test_unacknowledged_bytes_end_the_connection_after_the_time_given(listener: socket.socket) -> None:
    """TCP_USER_TIMEOUT and keep-alive are set, so that a peer that vanished is noticed."""
    address = (socket.AF_INET, listener.getsockname())
    connection = await Connection.open(address, None, user_timeout_secs=1.5)
    found = [
        connection._sock.getsockopt(level, option)
        for level, option in [
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            (socket.IPPROTO_TCP, socket.TCP_NODELAY),
        ]
    ]  # fmt: skip
    connection.close()
    assert (found[0], all(found)) == (1500, True)


async def test_a_peer_that_hangs_up_after_the_handshake_is_noticed(listener: socket.socket) -> None:
    """With TLS 1.3 that is how a missing client certificate shows, after the handshake."""
    connection, peer, _ = await _connected(listener, [0])
    asyncio.get_running_loop().call_later(0.01, peer.close)
    with pytest.raises(LostError):
        await connection.prove()
    connection.close()


async def test_a_peer_that_stays_has_proved_itself(listener: socket.socket) -> None:
    """A silent peer is what a syslog receiver is."""
    connection, peer, _ = await _connected(listener, [0])
    with peer:
        await connection.prove()
        connection.close()


async def test_who_wants_to_hear_is_told_what_the_peer_says_and_that_it_has_gone(listener: socket.socket) -> None:
    """The words come in order, and nothing at all stands for the end."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    address = (socket.AF_INET, listener.getsockname())
    connection = await Connection.open(address, None, user_timeout_secs=1, heard=heard.put_nowait)
    peer, _ = await asyncio.get_running_loop().sock_accept(listener)
    peer.send(b"hello")
    first = await heard.get()
    peer.close()
    assert (first, await heard.get()) == (b"hello", b"")
    connection.close()


async def test_the_first_bytes_count_only_when_the_peer_has_stayed(listener: socket.socket) -> None:
    """Acknowledged by its kernel and then hung up on, they are not sent; what comes later on has no such wait."""
    connection, peer, _ = await _connected(listener, [0])
    asyncio.get_running_loop().call_later(0.01, peer.close)
    with pytest.raises(LostError):
        await connection.send(b"x")
    connection.close()
    connection, peer, _ = await _connected(listener, [0])
    with peer:
        await connection.send(b"x")
        before = asyncio.get_running_loop().time()
        await connection.send(b"x")
        assert asyncio.get_running_loop().time() - before < 0.1
        connection.close()


async def test_what_a_peer_said_before_it_broke_the_connection_is_still_heard(listener: socket.socket) -> None:
    """A write that fails is a lost connection, and the peer's last words came first."""
    heard: list[bytes] = []
    address = (socket.AF_INET, listener.getsockname())
    connection = await Connection.open(address, None, user_timeout_secs=1, heard=heard.append)
    peer, _ = await asyncio.get_running_loop().sock_accept(listener)
    writing = asyncio.create_task(connection.write(_MORE_THAN_BUFFERS_HOLD))
    await asyncio.get_running_loop().sock_recv(peer, 1)
    peer.send(b"no")
    peer.close()  # with bytes unread, so the kernel resets the connection
    with pytest.raises(LostError):
        await writing
    connection.close()
    assert heard == [b"no", b""]


async def test_an_alert_explains_a_write_that_failed(listener: socket.socket) -> None:
    """With TLS 1.3 our certificate is refused after the handshake, perhaps while the first bytes are on their way."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    server.verify_mode = ssl.CERT_REQUIRED
    answers, says = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = server.wrap_bio(answers, says, server_side=True)
    loop = asyncio.get_running_loop()
    opening = asyncio.create_task(
        Connection.open((socket.AF_INET, listener.getsockname()), (client, "127.0.0.1"), user_timeout_secs=1)
    )
    peer, _ = await loop.sock_accept(listener)
    answers.write(await loop.sock_recv(peer, 65536))
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    await loop.sock_sendall(peer, says.read())
    connection = await opening
    answers.write(await loop.sock_recv(peer, 65536))
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        session.do_handshake()
    writing = asyncio.create_task(connection.write(_MORE_THAN_BUFFERS_HOLD))
    await loop.sock_recv(peer, 1)
    peer.send(says.read())
    peer.close()
    with pytest.raises(LostError) as lost:
        await writing
    connection.close()
    assert isinstance(lost.value.__cause__, ssl.SSLError)
    assert "sink.tls" in turned_away(lost.value, "siem.example:6514").remedy


async def test_a_peer_that_closes_during_the_handshake_has_turned_us_away(listener: socket.socket) -> None:
    """Without a word of why: what such a receiver may want names TLS."""
    address = (socket.AF_INET, listener.getsockname())
    opening = asyncio.create_task(
        Connection.open(address, (ssl.create_default_context(), "127.0.0.1"), user_timeout_secs=1)
    )
    peer, _ = await asyncio.get_running_loop().sock_accept(listener)
    peer.close()
    with pytest.raises(LostError) as lost:
        await opening
    assert "sink.tls" in turned_away(lost.value, "siem.example:6514").remedy
