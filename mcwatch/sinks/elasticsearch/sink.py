"""The elasticsearch sink: one bulk request per batch, accepted event by event."""

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import MisconfiguredError
from mcwatch.sinks.elasticsearch.answer import is_unknown_parameter, verdict_of
from mcwatch.sinks.elasticsearch.bulk import CONTENT_TYPE, WriteTarget, body_of
from mcwatch.sinks.elasticsearch.probe import examined, server_behind
from mcwatch.sinks.elasticsearch.server import Server
from mcwatch.sinks.receiver import Answer, Receiver, ReceiverSink, gzipped


class ElasticsearchSink(ReceiverSink):
    """Writes each event once, under its id.

    A refusal of single events is believed where the receiver accepted others: in the same request, or, for an event
    sent alone, in the request before. Else it may be the target that refuses everything (a mapping that fits no
    event), so no event is singled out and the pipeline looks for proof.
    """

    def __init__(self, receiver: Receiver, target: WriteTarget, *, compressed: bool) -> None:
        super().__init__(receiver)
        self._target = target
        self._headers = {"Content-Type": CONTENT_TYPE, **({"Content-Encoding": "gzip"} if compressed else {})}
        self._compressed = compressed
        self._server: Server | None = None
        self._can_require = True

    async def deliver(self, batch: Batch) -> Verdicts:
        """Send the batch; each event is accepted (also one that is there already), refused, or to be sent again."""
        if not len(batch):
            return ALL_ACCEPTED
        if batch.content_type != "application/json":
            raise MisconfiguredError(
                "Elasticsearch takes JSON documents, and this destination's format is text",
                remedy="choose format json, ecs, cim or ocsf",
            )
        server = self._server or await self._asked()
        body = body_of(batch)
        answer = await self._send(await gzipped(body) if self._compressed else body, server)
        verdict = verdict_of(answer.response, len(batch), answer.peer, self._target, may_summarize=server.may_summarize)
        return Verdicts(verdict.refused, frozenset(verdict.retry))

    async def check(self) -> str:
        """Ask which product answers, whether the target is there, and whether it may be written to."""
        server, text = await examined(self._receiver, self._target)
        self._server, self._can_require = server, True
        if self._receiver.shows_credential:
            text += "; warning: the credential crosses the network in the clear, use https"
        return text

    async def _asked(self) -> Server:
        server, is_certain = await server_behind(self._receiver)
        if is_certain:
            self._server = server
        return server

    async def _send(self, body: bytes, server: Server) -> Answer:
        required = self._can_require and server.can_require_data_stream
        answer = await self._receiver.send(
            "POST", self._target.path(required=required), headers=self._headers, body=body
        )
        if required and is_unknown_parameter(answer.response, "require_data_stream"):
            # An older node of a cluster that is being upgraded.
            self._can_require = False
            path = self._target.path(required=False)
            answer = await self._receiver.send("POST", path, headers=self._headers, body=body)
        return answer
