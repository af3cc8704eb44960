"""One account's API behind one call: quota, credentials, retries, envelope and errors."""

import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import msgspec
import structlog

from mcwatch.domain.budget import GatePressure
from mcwatch.domain.errors import AuthError, FailureReason, McwatchError, ThrottledError, TransientError
from mcwatch.domain.leasing import Budget
from mcwatch.httpclient.client import ClientOptions, HttpClient, Response
from mcwatch.httpclient.connections import SharedConnections
from mcwatch.httpclient.retry import Retry, RetryPolicy, with_retries
from mcwatch.interfaces import Clock
from mcwatch.mimecast.auth import Auth, OAuth2Auth, TokenAnswer, read_token, reveal
from mcwatch.mimecast.binding import Keys, read_login
from mcwatch.mimecast.clock_skew import ClockSkew
from mcwatch.mimecast.config import ApiConfig, OAuth2Config
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.envelope import Answer, AnswerDecoder, failures_of
from mcwatch.mimecast.errors import (
    BindingExpired,
    SignatureRefused,
    TokenExpired,
    TokenRefused,
    UnsteadyAuth,
    error_for,
)
from mcwatch.mimecast.hmac_auth import HmacAuth
from mcwatch.mimecast.quota import Priority, QuotaGate, QuotaSeen
from mcwatch.telemetry.metrics import OK, Metrics

T = TypeVar("T")

RETRIES = RetryPolicy(attempts=4, base_secs=0.5, cap_secs=20.0, max_wait_secs=60.0)
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_REFUSALS_AN_ATTEMPT = 3
_log = structlog.get_logger("mcwatch.mimecast")


class _AtGateError(TransientError):
    """A refusal whose pause the gate keeps, so that the repetition waits there, in its place among the others."""

    default_reason = FailureReason.THROTTLED

    def __init__(self, refusal: ThrottledError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


async def _waiting_at_the_gate(attempt: Callable[[], Awaitable[T]]) -> T:
    """Make an attempt, which a short refusal of the quota does not use up at once: waiting is what it asks for."""
    refusals = 0
    while True:
        try:
            return await attempt()
        except ThrottledError as refusal:
            refusals += 1
            if (refusal.retry_after_secs or 0.0) > RETRIES.max_wait_secs:
                raise
            if refusals == _REFUSALS_AN_ATTEMPT:
                raise _AtGateError(refusal) from refusal


class MimecastClient:
    """The API of one account, with a session, a quota gate and a clock estimate of its own.

    ``connections`` are those of many accounts, where there are many.
    """

    def __init__(
        self,
        account: str,
        config: ApiConfig,
        *,
        clock: Clock,
        metrics: Metrics,
        rng: random.Random,
        connections: SharedConnections | None = None,
    ) -> None:
        self._connections = connections
        self._account = account
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._rng = rng
        self._http: HttpClient | None = None
        self._skew = ClockSkew(account, clock, metrics)
        self._gate = QuotaGate(
            account,
            max_requests_per_minute=config.max_requests_per_minute,
            per_endpoint=isinstance(config.auth, OAuth2Config),
            clock=clock,
            metrics=metrics,
            server_now=self._skew.server_now,
        )
        self._auth = self._make_auth()

    async def __aenter__(self) -> Self:
        config = self._config
        self._http = HttpClient(
            ClientOptions(
                timeout_secs=config.request_timeout,
                connect_timeout_secs=min(10.0, config.request_timeout),
                tls=config.tls.build(),
                proxy=reveal(config.proxy) if config.proxy else None,
                max_body_bytes=config.max_answer,
            ),
            self._connections,
        )
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http:
            await self._http.__aexit__(kind, error, trace)
            self._http = None

    def budget(self) -> Budget:
        """Return what the account's request budget forbids now, for another process to go on from."""
        return self._gate.budget()

    def go_on_from(self, budget: Budget) -> None:
        """Take up what another process knew of the account's request budget."""
        self._gate.go_on_from(budget)

    @property
    def account(self) -> str:
        """The account's name."""
        return self._account

    @property
    def skew_secs(self) -> float | None:
        """The API's clock minus this machine's; None before the first answer."""
        return self._skew.skew_secs

    def server_now(self) -> datetime:
        """Return the time on the API's clock as far as it is known, else this machine's."""
        return self._skew.server_now()

    def quota_seen(self, endpoint: Endpoint) -> QuotaSeen:
        """Return what the API has told of the endpoint's quota."""
        return self._gate.seen(endpoint)

    @property
    def pressure(self) -> GatePressure:
        """What the quota let through of late, and how long urgent requests waited for it."""
        return self._gate.pressure()

    def wait_secs(self, endpoint: Endpoint, priority: Priority) -> float:
        """Return how long a call would at least wait for the quota now; 0 when it may go at once."""
        return self._gate.wait_secs(endpoint, priority)

    async def call(
        self,
        endpoint: Endpoint,
        item: Mapping[str, object],
        decoder: AnswerDecoder[T],
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        priority: Priority = Priority.FRESH,
    ) -> Answer[T]:
        """Ask for one page and return the decoded answer.

        Retries what may pass, within bounds; raises the errors of :mod:`mcwatch.mimecast.errors` and of
        :class:`HttpClient`.
        """
        body = _request_body(item, page_size, page_token)
        return await self._with_patience(endpoint, partial(self._attempt, endpoint, body, decoder, priority))

    async def prepare(self) -> None:
        """Get what every request needs beforehand: with API 2.0 a token, whose answer also tells the API's time.

        Raises as :meth:`call` does.
        """
        await self._with_patience(Endpoint.TOKEN, self._auth.prepare)

    async def _with_patience(self, endpoint: Endpoint, attempt: Callable[[], Awaitable[T]]) -> T:
        try:
            return await with_retries(
                partial(_waiting_at_the_gate, attempt),
                RETRIES,
                clock=self._clock,
                rng=self._rng,
                on_retry=partial(self._log_retry, endpoint),
            )
        except _AtGateError as error:
            raise error.refusal from error
        except UnsteadyAuth as error:
            raise AuthError(str(error), reason=error.reason, remedy=error.remedy) from error

    async def _attempt(
        self, endpoint: Endpoint, body: bytes, decoder: AnswerDecoder[T], priority: Priority
    ) -> Answer[T]:
        """Send once, or twice where the table says that a fresh token, date, id or binding helps."""
        renewals = self._auth.renewals
        try:
            return await self._send(endpoint, body, decoder, priority)
        except (TokenExpired, SignatureRefused):
            pass
        except BindingExpired as refused:
            await self._auth.renew(renewals, refused)
        return await self._send(endpoint, body, decoder, priority)

    async def _send(self, endpoint: Endpoint, body: bytes, decoder: AnswerDecoder[T], priority: Priority) -> Answer[T]:
        await self._auth.prepare()
        await self._gate.turn(endpoint, priority)
        credential = await self._auth.headers(endpoint.path)

        def decode(answer: bytes) -> Answer[T]:
            return decoder.decode(answer, what=endpoint)

        try:
            return await self._exchange(endpoint, {**_JSON, **credential}, body, decode)
        except (TokenExpired, TokenRefused):
            self._auth.invalidate(credential)
            raise

    async def _fetch_token(self, form: bytes) -> TokenAnswer:
        await self._gate.turn(Endpoint.TOKEN, Priority.TOKEN)
        return await self._exchange(Endpoint.TOKEN, _FORM, form, read_token)

    async def _send_login(self, headers: Mapping[str, str], body: bytes) -> Keys | None:
        await self._gate.turn(Endpoint.LOGIN, Priority.TOKEN)

        def decode(answer: bytes) -> Keys | None:
            return read_login(answer, Endpoint.LOGIN)

        keys = await self._exchange(Endpoint.LOGIN, {**_JSON, **headers}, body, decode)
        _log.info("binding_refreshed", account=self._account, new_keys=keys is not None)
        return keys

    async def _exchange(
        self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, decode: Callable[[bytes], T]
    ) -> T:
        """Send one request, learn from whatever comes back, and count how it ended."""
        if self._http is None:
            raise RuntimeError("the Mimecast client is used outside its context")
        sent_at = self._clock.monotonic()
        try:
            response = await self._http.request("POST", self._config.origin + endpoint.path, headers=headers, body=body)
            if response.body.lstrip()[:1] == b"{":
                # A gateway that answers in the API's place with a page of its own speaks for its own clock.
                self._skew.observe(response.headers.get("Date"), sent_at, self._clock.monotonic())
            wait_secs = self._gate.learn(endpoint, response.headers, response.status)
            if not 200 <= response.status < 300:
                raise self._failure(endpoint, response, wait_secs)
            decoded = decode(response.body)
        except McwatchError as error:
            self._count(endpoint, error.reason, sent_at)
            raise
        self._count(endpoint, OK, sent_at)
        return decoded

    def _count(self, endpoint: Endpoint, outcome: str, sent_at: float) -> None:
        self._metrics.api_requests_total.labels(self._account, endpoint, outcome).inc()
        duration = self._metrics.api_request_duration_seconds.labels(self._account, endpoint)
        duration.observe(self._clock.monotonic() - sent_at)

    def _failure(self, endpoint: Endpoint, response: Response, wait_secs: float | None) -> McwatchError:
        failures = failures_of(response.body)
        _log.debug(
            "api_refusal",
            account=self._account,
            endpoint=endpoint,
            status=response.status,
            request_id=response.headers.get("x-request-id"),
        )
        return error_for(response.status, failures, what=endpoint, retry_after_secs=wait_secs)

    def _log_retry(self, endpoint: Endpoint, retry: Retry) -> None:
        _log.debug(
            "api_retry",
            account=self._account,
            endpoint=endpoint,
            attempt=retry.attempt,
            wait_secs=round(retry.wait_secs, 2),
            reason=retry.error.reason,
        )

    def _make_auth(self) -> Auth:
        auth = self._config.auth
        if isinstance(auth, OAuth2Config):
            return OAuth2Auth(auth, self._fetch_token, self._clock)
        return HmacAuth(auth, self._skew.server_now, self._send_login, self._clock)


def _request_body(item: Mapping[str, object], page_size: int | None, page_token: str | None) -> bytes:
    pagination: dict[str, object] = {}
    if page_size is not None:
        pagination["pageSize"] = page_size
    if page_token is not None:
        pagination["pageToken"] = page_token
    envelope: dict[str, object] = {"data": [item]}
    if pagination:
        envelope = {"meta": {"pagination": pagination}, **envelope}
    return msgspec.json.encode(envelope)
