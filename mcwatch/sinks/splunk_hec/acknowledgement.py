"""Asking what has been indexed for good: where, on which channel and with which cookies a request was taken.

Splunk tells each number once and forgets it. Whatever was told is therefore reported, even if asking elsewhere failed;
what was told in an answer that got lost stays unconfirmed for ever and is sent again in the end.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress

import msgspec
import structlog

from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, MisconfiguredError, TransientError
from mcwatch.httpclient.client import Response
from mcwatch.sinks.receiver import Receiver
from mcwatch.sinks.splunk_hec.channels import Channels, Receipt, receipt_of
from mcwatch.sinks.splunk_hec.codes import decoded, error_of

CHANNEL_HEADER = "X-Splunk-Request-Channel"
ACK_PATH = "/services/collector/ack"

logger = structlog.get_logger(__name__)


class HecAcknowledgements:
    """Confirms receipts, also those of an earlier process. A receipt for a URL no longer configured is never confirmed.

    Args:
        receiver: sends the requests.
        urls: of the receiver's targets, in their order.
        channels: get back the channels of what is confirmed.
        timeout_secs: how long a receipt may stay unconfirmed.
    """

    def __init__(self, receiver: Receiver, urls: Collection[str], channels: Channels, timeout_secs: float) -> None:
        self._receiver = receiver
        self._urls = list(urls)
        self._channels = channels
        self._timeout_secs = timeout_secs
        self._has_warned = False

    @property
    def timeout_secs(self) -> float:
        """How long a receipt may stay unconfirmed before its events are sent again."""
        return self._timeout_secs

    async def confirmed(self, receipts: Collection[bytes]) -> Collection[bytes]:
        """Ask for receipts wherever they were given.

        A URL that does not answer keeps nothing waiting while another one does: its receipts are not confirmed, and in
        the end their events go elsewhere. Its refusal is told, once nothing else is.
        """
        known = {encoded: receipt for encoded in receipts if (receipt := receipt_of(encoded))}
        settled: list[bytes] = []
        trouble: list[McwatchError] = []
        silent: set[int] = set()
        for target, url in enumerate(self._urls):
            here = {encoded: receipt for encoded, receipt in known.items() if receipt.url == url}
            try:
                await self._ask(target, here, settled)
            except TransientError as error:
                trouble.append(error)
                silent.add(target)
            except McwatchError as error:
                trouble.insert(0, error)
        if trouble and not settled and not (len(trouble) == len(silent) and await self._answers_beside(silent)):
            raise trouble[0]
        if trouble and not self._has_warned:  # nobody else hears of it
            logger.warning("acknowledgements_unanswered", reason=str(trouble[0]), remedy=trouble[0].remedy)
        self._has_warned = bool(trouble)
        return settled

    async def _answers_beside(self, silent: set[int]) -> bool:
        """Tell whether some other URL answers."""
        for target in set(range(len(self._urls))) - silent:
            with suppress(McwatchError):
                await self.probe(target)
                return True
        return False

    async def probe(self, target: int | None = None) -> None:
        """Ask for a number that nobody has: shows that acknowledgement is on; raises as :meth:`confirmed` does."""
        await self._is_stored(target, Receipt("", self._channels.spare, 0, "", "", 0))

    async def _ask(self, target: int, receipts: Mapping[bytes, Receipt], settled: list[bytes]) -> None:
        """Ask one URL, channel by channel: HEC answers for one at a time."""
        for encoded, receipt in receipts.items():
            if await self._is_stored(target, receipt):
                self._channels.confirmed(receipt)
                settled.append(encoded)

    async def _is_stored(self, target: int | None, receipt: Receipt) -> bool:
        headers = {CHANNEL_HEADER: receipt.channel, "Content-Type": "application/json"}
        if receipt.cookie:
            headers["Cookie"] = receipt.cookie
        path = f"{ACK_PATH}?channel={receipt.channel}"
        body = msgspec.json.encode({"acks": [receipt.ack_id]})
        answer = await self._receiver.send("POST", path, headers=headers, body=body, target=target)
        told = decoded(answer.response.body).get("acks")
        if answer.response.status != 200 or not isinstance(told, dict):
            raise _not_told(answer.response, answer.peer)
        return told.get(str(receipt.ack_id)) is True


def _not_told(response: Response, peer: str) -> McwatchError:
    """Return what an answer means that tells nothing; no event can be blamed for it."""
    error = error_of(response, peer)
    if isinstance(error, (TransientError, AuthError, MisconfiguredError)):
        return error
    return MisconfiguredError(
        f"{error}, when asked what is indexed",
        reason=FailureReason.BAD_RESPONSE,
        remedy="check url, and what stands between here and Splunk",
        detail=error.detail,
    )
