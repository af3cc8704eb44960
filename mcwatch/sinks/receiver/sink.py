"""What every sink over HTTP is beside what it sends."""

from types import TracebackType
from typing import Self

from mcwatch.interfaces import Acknowledgements
from mcwatch.sinks.receiver.receiver import Receiver


class ReceiverSink:
    """Several deliveries side by side over one pool of connections, which opens at first use."""

    most_at_once = Receiver.most_at_once
    acknowledgements: Acknowledgements | None = None

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._receiver.close()
