"""Opening the listening socket, and what is said when it cannot be."""

import socket
from collections.abc import Iterator

import pytest

from mcwatch.domain.errors import ConfigError, TransientError
from mcwatch.httpserver.listen import is_loopback, open_socket, parse


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Give a port somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("listen", "found"),
    [
        ("127.0.0.1:9640", ("127.0.0.1", 9640)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:80", ("::1", 80)),
        (":9640", ("0.0.0.0", 9640)),
    ],
)
def test_addresses_are_split(listen: str, found: tuple[str, int]) -> None:
    """Names, both families, and no host at all."""
    assert parse(listen) == found


@pytest.mark.parametrize(
    "listen", ["", "9640", "host", "host:", "host:http", "host:70000", "::1:80", "host:-1", "h:٣", "h:" + "9" * 5000]
)
def test_other_texts_are_refused(listen: str) -> None:
    """The error names the option and shows how to write it."""
    with pytest.raises(ConfigError, match=r"^http.listen: .*127\.0\.0\.1:9640"):
        parse(listen)


def test_a_port_in_use_is_named_with_the_remedy(taken_port: int) -> None:
    """Option, address and what to do; a service manager may try again."""
    with pytest.raises(TransientError) as caught:
        open_socket(f"127.0.0.1:{taken_port}")

    assert str(caught.value) == f"http.listen: cannot listen on 127.0.0.1:{taken_port}: Address already in use"
    assert caught.value.remedy == "another program listens there: stop it, or give this mcwatch another port"


def test_an_address_that_is_not_ours_may_come() -> None:
    """When a machine starts, its network may come later: a service manager tries again."""
    with pytest.raises(TransientError, match=r"^http.listen: cannot listen on 203.0.113.7:0") as caught:
        open_socket("203.0.113.7:0")

    assert "this machine has no such address" in caught.value.remedy


@pytest.mark.parametrize("listen", ["no-such-host.example:80", f"{'x' * 70}.example:80"])
def test_a_name_that_is_none_is_a_configuration_error(listen: str) -> None:
    """Unknown names and overlong ones end the same way."""
    with pytest.raises(ConfigError, match=r"^http.listen: "):
        open_socket(listen)


def test_port_zero_takes_a_free_one() -> None:
    """The socket knows which."""
    with open_socket("127.0.0.1:0") as bound:
        assert bound.getsockname()[1] > 0


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("fe80::1%eth0", False),
    ],
)
def test_who_can_reach_an_address(address: str, loopback: bool) -> None:
    """All of 127/8 and ::1 are this machine alone (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3)."""
    assert is_loopback(address) is loopback
