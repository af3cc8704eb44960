"""The http sink at work: requests out, statuses in."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    ThrottledError,
    TransientError,
)
from mcwatch.httpclient.statuses import error_for
from mcwatch.sinks.http.body import Body, Compression, request_of
from mcwatch.sinks.http.one_by_one import OneByOne
from mcwatch.sinks.http.signature import Signer
from mcwatch.sinks.receiver import Answer, Receiver, ReceiverSink

_GATEWAY_TROUBLE = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_NO_OPTIONS = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE})
"""Usual answers of a web hook to a method it does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """What the requests look like, and which statuses accept them (without ``success`` any 2xx)."""

    method: str = "POST"
    body: Body = "ndjson"
    compression: Compression = "gzip"
    signer: Signer | None = None
    success: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class _Wait:
    """What a receiver asked for after it had taken a part of a batch: verdicts cannot say it."""

    error: ThrottledError
    until: float
    """Seconds on the event loop's clock."""


class HttpSink(ReceiverSink):
    """Sends each batch as one request, or as one request per event."""

    def __init__(self, receiver: Receiver, options: RequestOptions) -> None:
        super().__init__(receiver)
        self._options = options
        self._wait: _Wait | None = None

    async def deliver(self, batch: Batch) -> Verdicts:
        """Send the batch; the status says whether all of a request was accepted or nothing."""
        if not len(batch):
            return ALL_ACCEPTED
        if self._options.body == "single":
            return await self._deliver_singly(batch)
        error = await self._send(batch)
        if error:
            raise error
        return ALL_ACCEPTED

    async def check(self) -> str:
        """Ask every URL for its options: shows that host, TLS and (where it is looked at) credential are right."""
        peers = [await self._check(target) for target in self._receiver.targets]
        text = f"{' and '.join(peers)} {'answers' if len(peers) == 1 else 'answer'}"
        if self._receiver.shows_credential:
            text += "; warning: the Authorization header crosses the network in the clear, use https"
        return text

    async def _check(self, target: int) -> str:
        answer = await self._receiver.send("OPTIONS", headers=self._signature(b""), target=target)
        error = error_for(answer.response, answer.peer)
        status = answer.response.status
        says_no = isinstance(error, (AuthError, MisconfiguredError)) and status not in _NO_OPTIONS
        if error and (says_no or status in _GATEWAY_TROUBLE):
            raise error
        return answer.peer

    async def _deliver_singly(self, batch: Batch) -> Verdicts:
        self._keep_waiting()
        fates, error = OneByOne(len(batch)), None
        for index in range(len(batch)):
            error = await self._attempt(batch.slice(index, index + 1))
            if error is None:
                fates.accept(index)
            elif isinstance(error, PermanentError) and not isinstance(error, (AuthError, MisconfiguredError)):
                fates.refuse(index, error)
            else:
                fates.interrupt(error)
                break
            if fates.is_over:
                break
        verdicts = fates.verdicts()
        if isinstance(error, ThrottledError) and error.retry_after_secs:
            self._wait = _Wait(error, _now_secs() + error.retry_after_secs)
        return verdicts

    def _keep_waiting(self) -> None:
        wait = self._wait
        if wait is None:
            return
        left_secs = wait.until - _now_secs()
        if left_secs > 0:
            raise ThrottledError(str(wait.error), retry_after_secs=left_secs)
        self._wait = None

    async def _attempt(self, single: Batch) -> McwatchError | None:
        try:
            return await self._send(single)
        except McwatchError as error:
            return error

    async def _send(self, batch: Batch) -> McwatchError | None:
        """Make one request of the batch; return why it is not accepted."""
        options = self._options
        request = await request_of(batch, options.body, options.compression)
        headers = {**request.headers, **self._signature(request.body)}
        return self._judged(await self._receiver.send(options.method, headers=headers, body=request.body))

    def _signature(self, body: bytes) -> dict[str, str]:
        signer = self._options.signer
        return signer.headers(body) if signer else {}

    def _judged(self, answer: Answer) -> McwatchError | None:
        status, success = answer.response.status, self._options.success
        if status in success:
            return None
        error = error_for(answer.response, answer.peer)
        if status == HTTPStatus.CONFLICT and error:
            return TransientError(
                str(error),
                remedy="if it means that the receiver has these events, add 409 to success",
                detail=error.detail,
            )
        if error is None and success:
            return TransientError(
                f"{answer.peer} answered {status}, which is none of the statuses in success",
                reason=FailureReason.BAD_RESPONSE,
                remedy=f"add {status} to success if it means that the events were taken",
            )
        return error


def _now_secs() -> float:
    return asyncio.get_running_loop().time()
