"""The splunk_hec sink: a batch is one request to the event endpoint, and its answer the last word."""

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.sinks.receiver import Answer, Receiver, ReceiverSink, gzipped
from mcwatch.sinks.splunk_hec.codes import NO_DATA, OF_ONE_EVENT, error_of, is_taken, reply_of
from mcwatch.sinks.splunk_hec.envelope import Envelopes
from mcwatch.sinks.splunk_hec.verdicts import before_wrong_index, partial

EVENT_PATH = "/services/collector/event"
HEALTH_PATH = "/services/collector/health"
_MISSES_EVENTS = OF_ONE_EVENT | {NO_DATA}


class SplunkHecSink(ReceiverSink):
    """Sends events to a token without indexer acknowledgement.

    Args:
        receiver: sends the requests.
        envelopes: wraps the events.
        is_packed: whether bodies are sent as gzip.
    """

    def __init__(self, receiver: Receiver, envelopes: Envelopes, *, is_packed: bool) -> None:
        super().__init__(receiver)
        self._envelopes = envelopes
        self._is_packed = is_packed

    async def deliver(self, batch: Batch) -> Verdicts:
        """Send the batch; what was taken counts as accepted."""
        if not len(batch):
            return ALL_ACCEPTED
        # Without a channel: a token with acknowledgement enabled would collect numbers that nobody asks for.
        answer = await self._post(batch, {})
        if is_taken(answer.response, reply_of(answer.response)):
            return ALL_ACCEPTED
        indexed = before_wrong_index(answer.response, len(batch))
        if indexed:  # the rest goes again, and alone shows what is wrong without repeating what is indexed
            return Verdicts(retry=frozenset(range(indexed, len(batch))))
        return partial(answer.response, answer.peer, len(batch), has_ack=False)

    async def check(self) -> str:
        """Ask every URL for its health, and for its opinion of a request without data: only a good token gets so far.

        Whether the index exists shows only when an event arrives.
        """
        peers = [await self._check_target(target) for target in self._receiver.targets]
        return "; ".join([f"{', '.join(peers)}: healthy, token accepted", *self._warnings()])

    async def _check_target(self, target: int) -> str:
        """Try one URL; return its name."""
        health = await self._receiver.send("GET", HEALTH_PATH, target=target)
        if health.response.status != 200:
            raise error_of(health.response, health.peer)
        empty = await self._receiver.send("POST", EVENT_PATH, headers=self._check_headers(), body=b"", target=target)
        reply = reply_of(empty.response)
        if reply is not None and (reply.code in _MISSES_EVENTS or is_taken(empty.response, reply)):
            return empty.peer
        raise error_of(empty.response, empty.peer)

    def _check_headers(self) -> dict[str, str]:
        return {}

    def _warnings(self) -> list[str]:
        if not self._receiver.shows_credential:
            return []
        return ["warning: the token crosses the network in the clear, use https"]

    async def _post(self, batch: Batch, headers: dict[str, str]) -> Answer:
        """Send a batch, whatever is answered."""
        body = self._envelopes.body(batch)
        headers = {"Content-Type": "application/json", **headers}
        if self._is_packed:
            body = await gzipped(body)
            headers["Content-Encoding"] = "gzip"
        return await self._receiver.send("POST", EVENT_PATH, headers=headers, body=body)
