"""The web server behind a sink: its URLs with failover, credential, TLS, proxy, time-outs.

One receiver may have several URLs. The one that worked last is used until it fails. A connection that cannot be made,
or breaks before an answer, goes on to the next URL at once: the first may have taken the request before it broke, so
the receiver may get those events twice, with the same ids. A time-out or a 5xx goes on to the next URL with the next
attempt. A URL that refuses the credential, the certificate or the request as such is never passed over: the failure is
told, and what was sent there in another's stead goes to the first URL again. When and how often is tried again is not
decided here: the destination has one gate for that.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mcwatch.domain.errors import AuthError, ConfigError, FailureReason, MisconfiguredError, TransientError
from mcwatch.httpclient.client import ClientOptions, HttpClient, Response
from mcwatch.httpclient.statuses import error_for
from mcwatch.sinks.receiver.target import ReceiverOptions

_MOST_AT_ONCE = 8
_QUESTIONS_AT_ONCE = 2
"""Connections for what is asked beside the deliveries, such as acknowledgements."""
_TIMEOUT_REMEDY = (
    "check the address, that the other side runs, and any firewall or proxy in between; if it is only slow, raise "
    "sink.timeout or lower batch.max_events; it is tried again"
)
_UNAUTHORIZED = (401, 403)
_SERVER_TROUBLE = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target answered; ``target`` is its number, ``peer`` its name for messages."""

    response: Response
    target: int
    peer: str


class Receiver:
    """Sends requests to whichever URL works. The connection pool opens at first use."""

    most_at_once = _MOST_AT_ONCE

    def __init__(self, options: ReceiverOptions) -> None:
        self._options = options
        self._client: HttpClient | None = None
        self._proxy: str | None = None
        self._opening = asyncio.Lock()
        self._current = 0

    @property
    def peer(self) -> str:
        """The current target as error texts name it."""
        return self._options.targets[self._current].peer

    @property
    def targets(self) -> range:
        """The numbers of its URLs, the preferred one first."""
        return range(len(self._options.targets))

    @property
    def shows_credential(self) -> bool:
        """Whether an Authorization header would cross a network in the clear."""
        authorized = any(name.lower() == "authorization" for name, _ in self._options.headers)
        return authorized and any(target.is_in_the_clear for target in self._options.targets)

    async def send(
        self,
        method: str,
        path: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        target: int | None = None,
    ) -> Answer:
        """Send one request and return the answer, whatever its status.

        ``target`` asks that very URL and no other. After a 401 or 403 the secrets are read again, and the request is
        repeated once where one of them has changed. Raises what :meth:`HttpClient.request` raises, and
        MisconfiguredError for a secret that cannot be read or sent.
        """
        own = dict(headers or {})
        if target is not None:
            return await self._authorized(method, path, own, body, target)
        failures: list[TransientError] = []
        for number in self._route():
            try:
                answer = await self._authorized(method, path, own, body, number)
            except (AuthError, MisconfiguredError):
                self._hand_back(number)
                raise
            except TransientError as error:
                self._move_on(number)
                failures.append(error)
                if error.reason is not FailureReason.CONNECTION:
                    break
            else:
                self._heed(number, answer)
                return answer
        raise _all_of(failures)

    async def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client:
            await client.__aexit__(None, None, None)

    def _route(self) -> list[int]:
        """Return the targets in the order to try: all of them, from the current one on."""
        count = len(self._options.targets)
        return [(self._current + step) % count for step in range(count)]

    def _heed(self, number: int, answer: Answer) -> None:
        if answer.response.status >= _SERVER_TROUBLE:
            self._move_on(number)
        elif isinstance(error_for(answer.response, answer.peer), (AuthError, MisconfiguredError)):
            self._hand_back(number)

    def _move_on(self, failed: int) -> None:
        # Another request may have moved on already.
        if self._current == failed:
            self._current = (failed + 1) % len(self._options.targets)

    def _hand_back(self, refusing: int) -> None:
        if self._current == refusing:
            self._current = 0

    async def _authorized(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, number: int
    ) -> Answer:
        target = self._options.targets[number]
        sent = self._with_own(headers)
        response = await self._request(method, target.with_path(path), sent, body)
        if response.status in _UNAUTHORIZED and (fresh := self._with_own(headers)) != sent:
            response = await self._request(method, target.with_path(path), fresh, body)
        return Answer(response, number, target.peer)

    async def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        client = await self._opened()
        try:
            response = await client.request(method, url, headers=headers, body=body)
        except TransientError as error:
            if error.reason is FailureReason.TIMEOUT:
                error.remedy = _TIMEOUT_REMEDY
            raise
        return replace(response, received_at=self._options.now())

    def _with_own(self, headers: dict[str, str]) -> dict[str, str]:
        own = {name: revealed(value, f"the header {name}") for name, value in self._options.headers}
        for name, value in own.items():
            if not value.isprintable():
                raise MisconfiguredError(
                    f"the value of the header {name} holds a line break or another control character",
                    remedy="correct the secret or the file it comes from",
                )
        taken = {name.lower() for name in own}
        return {**{name: value for name, value in headers.items() if name.lower() not in taken}, **own}

    async def _opened(self) -> HttpClient:
        """Return the client, opened at first use: files and secrets it lacks are an error of delivery, not of start."""
        options = self._options
        proxy = revealed(options.proxy.reveal, "proxy") if options.proxy else None
        async with self._opening:
            if self._client and proxy != self._proxy:
                # What is under way through the old one is broken off, and sent again by the dispatcher.
                await self.close()
            if self._client is None:
                client = HttpClient(
                    ClientOptions(
                        timeout_secs=options.timeout_secs,
                        connect_timeout_secs=min(options.timeout_secs, 10.0),
                        tls=options.tls,
                        proxy=proxy,
                        max_body_bytes=options.answer_bytes,
                        cut_body=True,
                        max_connections=_MOST_AT_ONCE + _QUESTIONS_AT_ONCE,
                        repeats_stale=True,
                    )
                )
                self._client, self._proxy = await client.__aenter__(), proxy
            return self._client


def _all_of(failures: Sequence[TransientError]) -> TransientError:
    """Return the one failure, or one that tells of all."""
    last = failures[-1]
    if len(failures) == 1:
        return last
    found = TransientError("; ".join(map(str, failures)), reason=last.reason, remedy=last.remedy)
    found.__cause__ = last
    return found


def revealed(secret: Callable[[], str], what: str) -> str:
    """Return what ``secret`` gives, for ``what`` as messages name it.

    Raises MisconfiguredError when it cannot be read or is empty, as the files of secrets are before they are filled.
    """
    try:
        text = secret()
    except ConfigError as error:
        raise MisconfiguredError(str(error), remedy="restore the file or correct its path") from error
    if not text.strip():
        raise MisconfiguredError(f"the secret for {what} is empty", remedy="fill the file it comes from")
    return text
