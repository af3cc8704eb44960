"""The API's request handler: caller, quota, fault, function, and the writing of the answer."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from aiohttp import web

from mcwatch.simulator.config import SimulatorConfig
from mcwatch.simulator.damage import Damage
from mcwatch.simulator.envelope import Answer, RefusedError, read_call
from mcwatch.simulator.faults import ROW_FAULTS, Fault, Faults
from mcwatch.simulator.functions import PATHS, SOURCES, Endpoint, Functions, merged
from mcwatch.simulator.gate import Caller, Gate, forbidden, throttled
from mcwatch.simulator.ledger import Ledger
from mcwatch.simulator.quota import Standing
from mcwatch.simulator.stats import Stats
from mcwatch.simulator.substitutes import substitute
from mcwatch.simulator.wire import SOUND, Flaw, Reply, Wire, failure

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 -- a path

LOGIN_PATH: Final = "/api/login/login"

NOBODY: Final = Caller(bearer=True, account=None)


class Server:
    """Answers the calls of all accounts."""

    def __init__(
        self,
        config: SimulatorConfig,
        functions: Mapping[str, Functions],
        faults: Faults,
        ledger: Ledger,
        clock: Callable[[], float],
    ) -> None:
        self.wire = Wire()
        self.stats = Stats()
        self._config = config
        self._functions = functions
        self._faults = faults
        self._ledger = ledger
        self._clock = clock
        self._gate = Gate(config, clock)
        self._damage = Damage()

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Answer `/oauth/token` (reference notes §B)."""
        self.stats.requests["token"] += 1
        form = await request.post() if request.method == "POST" else {}
        client_id, client_secret = str(form.get("client_id", "")), str(form.get("client_secret", ""))
        fault = self._faults.next_for(client_id or None, "token")
        if request.method != "POST":
            reply = failure(RefusedError(405, "method_not_allowed", "Method not allowed"), flat=True)
        elif form.get("grant_type") != "client_credentials":
            reply = _oauth_error(400, "unsupported_grant_type", "grant_type must be client_credentials")
        else:
            reply = self._issue(client_id, client_secret)
        return await self._send(request, self._instead(fault, NOBODY) or reply, fault)

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Answer `/api/login/login`, which counts like any call of API 1.0."""
        body = await request.read()
        self.stats.requests["login"] += 1
        caller = self._gate.user(request.headers)
        standing = self._gate.take(caller, "login") if caller.account is not None else None
        if standing is not None and not standing.allowed:
            return await self._send(request, self._limited(failure(throttled(), flat=False), standing), None)
        fault = None if caller.account is None else self._faults.next_for(caller.name, "login")
        reply = self._instead(fault, caller) or self._logged_in(request, caller, body)
        return await self._send(request, self._limited(reply, standing), fault)

    def expire_binding(self, account: str) -> None:
        """End the time of an account's signing keys."""
        self._gate.bindings.expire(account)

    async def api(self, request: web.Request) -> web.StreamResponse:
        """Answer every path below the root that is not the token's or the control's."""
        body = await request.read()
        endpoint = PATHS.get(request.path)
        self.stats.requests[endpoint or "other"] += 1
        caller = self._gate.caller(request.headers, request.path)
        standing = self._gate.take(caller, endpoint or "other") if caller.account is not None else None
        if standing is not None and not standing.allowed:
            return await self._send(request, self._limited(failure(throttled(), flat=caller.bearer), standing), None)
        # A call that is refused for its credentials meets no fault: what is counted shall have happened to a good call.
        exposed = endpoint if caller.account is not None else None
        fault = None if exposed is None else self._faults.next_for(caller.name, exposed)
        reply = self._instead(fault, caller)
        if reply is None:
            reply = self._answered(request, endpoint, caller, body, fault)
        return await self._send(request, self._limited(reply, standing), fault)

    def _answered(
        self, request: web.Request, endpoint: Endpoint | None, caller: Caller, body: bytes, fault: Fault | None
    ) -> Reply:
        try:
            return self._executed(request, endpoint, caller, body, fault)
        except RefusedError as refused:
            # The gateway of 2.0 words its own failures flat, and leaves those of the functions nested.
            by_gateway = refused.status in {401, 403, 404, 405, 429}
            return failure(refused, flat=caller.bearer and by_gateway)

    def _executed(
        self, request: web.Request, endpoint: Endpoint | None, caller: Caller, body: bytes, fault: Fault | None
    ) -> Reply:
        account = caller.account
        if caller.refused is not None or account is None:
            raise caller.refused or RefusedError(401, "unauthorized", "Unauthorized Request")
        if endpoint is None:
            raise RefusedError(404, "not_found", "No such path")
        if request.method != "POST":
            raise RefusedError(405, "method_not_allowed", "Method not allowed")
        if endpoint not in account.products:
            raise forbidden()
        answers = self._functions[account.name].answers(
            endpoint, read_call(body, one_item_only=caller.bearer), self._clock()
        )
        self.stats.searches[account.name] += endpoint == "finder"
        if fault is not None and fault.kind in ROW_FAULTS:
            spoilt = self._damage.spoil_rows(fault, answers[0], account.name, SOURCES[endpoint])
            self._faults.injected[fault.kind] += spoilt
        answer = merged(answers)
        return Reply(answer.status, answer.encode(), sightings=answer.sightings, codes=answer.codes())

    def _instead(self, fault: Fault | None, caller: Caller) -> Reply | None:
        if fault is None:
            return None
        if fault.kind == "token_expired" and caller.name is not None:
            self._gate.tokens.expire(caller.name)
        return substitute(fault, caller)

    def _issue(self, client_id: str, client_secret: str) -> Reply:
        answer = self._gate.tokens.issue(client_id, client_secret)
        if answer is None:
            return _oauth_error(401, "invalid_client", "Client credentials are invalid")
        self.stats.tokens_issued += 1
        return Reply(200, msgspec.json.encode(answer))

    def _logged_in(self, request: web.Request, caller: Caller, body: bytes) -> Reply:
        try:
            if caller.refused is not None or caller.account is None:
                raise caller.refused or RefusedError(401, "unauthorized", "Unauthorized Request")
            if request.method != "POST":
                raise RefusedError(405, "method_not_allowed", "Method not allowed")
            item = self._gate.bindings.log_in(caller.account, read_call(body, one_item_only=False))
        except RefusedError as refused:
            return failure(refused, flat=False)
        return Reply(200, Answer(data=[item]).encode())

    def _limited(self, reply: Reply, standing: Standing | None) -> Reply:
        if standing is not None:
            reply.headers = {**self._gate.quota.headers(standing), **reply.headers}
        return reply

    async def _send(self, request: web.Request, reply: Reply, fault: Fault | None) -> web.StreamResponse:
        if fault is not None and fault.kind == "cut_json":
            reply.body, reply.sightings = reply.body[: max(len(reply.body) - 7, 1) * 2 // 3], []
        if fault is not None and fault.kind not in ROW_FAULTS:
            self._faults.injected[fault.kind] += 1
        self.stats.statuses[reply.status] += 1
        self.stats.codes.update(reply.codes)
        self.stats.throttled += reply.status == 429
        response, whole = await self.wire.send(request, reply, self._flaw(fault), self._clock())
        if whole:
            self.stats.rows_shown += len(reply.sightings)
            self._ledger.record(reply.sightings, self._clock())
        return response

    def _flaw(self, fault: Fault | None) -> Flaw:
        if fault is None:
            return SOUND
        return Flaw(
            stall_secs=(fault.after_secs or self._config.stall_secs) if fault.kind == "stall" else 0.0,
            reset_before=fault.kind == "reset_before",
            reset_body=fault.kind == "reset_body",
        )


def _oauth_error(status: int, error: str, description: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": error, "error_description": description}))
