"""The splunk_hec sink with indexer acknowledgement: a yes is a receipt, to be confirmed once the events are indexed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import structlog

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.sinks.receiver import Answer, Receiver
from mcwatch.sinks.splunk_hec.acknowledgement import CHANNEL_HEADER, HecAcknowledgements
from mcwatch.sinks.splunk_hec.channels import Channel, Channels
from mcwatch.sinks.splunk_hec.codes import CHANNEL_FULL, is_taken, numberless, reply_of
from mcwatch.sinks.splunk_hec.cookies import kept
from mcwatch.sinks.splunk_hec.envelope import Envelopes
from mcwatch.sinks.splunk_hec.sink import SplunkHecSink
from mcwatch.sinks.splunk_hec.verdicts import before_wrong_index, partial

SAFE_TIMEOUT_SECS = 300.0
"""Splunk holds the last part of what it indexes back for about two minutes (protocol notes §3)."""

logger = structlog.get_logger(__name__)


class AcknowledgedHecSink(SplunkHecSink):
    """Sends events and gives receipts for them.

    Args:
        receiver: sends the requests.
        urls: of the receiver's targets, in their order; receipts name them.
        envelopes: wraps the events.
        is_packed: whether bodies are sent as gzip.
        channels: what batches are handed over on.
        timeout_secs: how long a receipt may stay unconfirmed.
    """

    def __init__(
        self,
        receiver: Receiver,
        urls: Sequence[str],
        envelopes: Envelopes,
        *,
        is_packed: bool,
        channels: Channels,
        timeout_secs: float,
    ) -> None:
        super().__init__(receiver, envelopes, is_packed=is_packed)
        self._urls = urls
        self._channels = channels
        self._asking = HecAcknowledgements(receiver, urls, channels, timeout_secs)
        self.acknowledgements = self._asking
        self._is_proven = False
        self._cookies: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        for warning in self._timeout_warnings():
            peer, secs = self._receiver.peer, self._asking.timeout_secs
            logger.warning("ack_timeout_short", receiver=peer, ack_timeout_secs=secs, why=warning)
        return await super().__aenter__()

    async def deliver(self, batch: Batch) -> Verdicts:
        """Send the batch; what was taken is handed over and has a receipt.

        Before the first, and after an answer without a number, it is asked whether acknowledgement is on: Splunk would
        index the events and never say so, at every attempt.
        """
        if not len(batch):
            return ALL_ACCEPTED
        if not self._is_proven:
            await self._asking.probe()
            self._is_proven = True
        return await self._send(batch)

    async def _send(self, batch: Batch) -> Verdicts:
        channel = self._channels.take()
        answer, cookie = await self._post_sticky(batch, channel)
        reply = reply_of(answer.response)
        if is_taken(answer.response, reply):
            return self._handed_over(answer, channel, cookie, reply.ack_id if reply else None)
        if reply is not None and reply.code != CHANNEL_FULL:  # a proxy's words leave open whether it was taken
            self._channels.give_back(channel)
        indexed = before_wrong_index(answer.response, len(batch))
        if indexed:
            # Sent once more for a number; the rest, alone, then shows what is wrong and repeats nothing.
            before = await self._send(batch.slice(0, indexed))
            return replace(before, retry=before.retry | frozenset(range(indexed, len(batch))))
        return partial(answer.response, answer.peer, len(batch), has_ack=True)

    async def _post_sticky(self, batch: Batch, channel: Channel) -> tuple[Answer, str]:
        """Send with the cookies of the current target; return the ones that lead back to where it was taken."""
        peer = self._receiver.peer
        sent = self._cookies.get(peer, "")
        headers = {CHANNEL_HEADER: channel.id, **({"Cookie": sent} if sent else {})}
        answer = await self._post(batch, headers)
        cookie = kept(sent if answer.peer == peer else "", answer.response.headers)
        self._cookies[answer.peer] = cookie
        return answer, cookie

    def _handed_over(self, answer: Answer, channel: Channel, cookie: str, ack_id: int | None) -> Verdicts:
        if ack_id is None:
            self._is_proven = False
            raise numberless(answer.peer)
        return Verdicts(receipt=self._channels.receipt(channel, self._urls[answer.target], ack_id, cookie))

    async def _check_target(self, target: int) -> str:
        peer = await super()._check_target(target)
        await self._asking.probe(target)
        return peer

    def _check_headers(self) -> dict[str, str]:
        return {CHANNEL_HEADER: self._channels.spare}

    def _warnings(self) -> list[str]:
        late = [f"warning: {warning}" for warning in self._timeout_warnings()]
        return ["indexer acknowledgement is on", *super()._warnings(), *late]

    def _timeout_warnings(self) -> list[str]:
        if self._asking.timeout_secs >= SAFE_TIMEOUT_SECS:
            return []
        return ["ack_timeout under 5m repeats events that Splunk is only slow to acknowledge"]
