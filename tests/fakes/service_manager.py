"""A service manager: the socket that a service's notifications arrive at."""

import socket
from pathlib import Path
from types import TracebackType
from typing import Self


class FakeServiceManager:
    """Listens on a datagram socket, a path or an abstract name (``@…``); ``messages`` are those received so far."""

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self._messages: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        self._socket.bind(f"\0{self.address[1:]}" if self.address.startswith("@") else self.address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def messages(self) -> list[str]:
        """Every datagram, in order."""
        while True:
            try:
                self._messages.append(self._socket.recv(65536).decode())
            except BlockingIOError:
                return list(self._messages)

    @property
    def lines(self) -> list[str]:
        """Every line of every datagram, in order."""
        return [line for message in self.messages for line in message.split("\n")]

    def said(self, name: str) -> list[str]:
        """Return the values given to a name, in order."""
        return [line.removeprefix(f"{name}=") for line in self.lines if line.startswith(f"{name}=")]
