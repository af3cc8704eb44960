"""What a fault answers in place of the function: failures of the gateway, of the platform, and of a proxy before it."""

from collections.abc import Callable
from typing import Final

from mcwatch.simulator.damage import HTML, failed_answer
from mcwatch.simulator.envelope import RefusedError
from mcwatch.simulator.faults import Fault, FaultKind
from mcwatch.simulator.gate import Caller, forbidden, throttled
from mcwatch.simulator.signing import binding_expired
from mcwatch.simulator.tokens import EXPIRED, UNVERIFIED
from mcwatch.simulator.wire import Reply, failure

_HTML_TYPE: Final = "text/html"


def substitute(fault: Fault, caller: Caller) -> Reply | None:
    """Return the answer a fault gives by itself; None when the function is to run, and its answer to suffer."""
    make = _MAKERS.get(fault.kind)
    return None if make is None else make(fault, caller)


def _throttle(fault: Fault, caller: Caller) -> Reply:
    reply = failure(throttled(), flat=caller.bearer)
    reset_ms = 1000 if fault.after_secs is None else int(fault.after_secs * 1000)
    reply.headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset_ms)}
    return reply


def _bad_credentials(fault: Fault, caller: Caller) -> Reply:
    if not caller.bearer:
        return failure(RefusedError(401, "err_xdk_invalid_signature", "0004 Invalid signature"), flat=False)
    return failure(RefusedError(401, *(EXPIRED if fault.kind == "token_expired" else UNVERIFIED)), flat=True)


def _failed_with_200(fault: Fault, _caller: Caller) -> Reply:
    answer = failed_answer(fault)
    return Reply(200, answer.encode(), codes=answer.codes())


_MAKERS: Final[dict[FaultKind, Callable[[Fault, Caller], Reply]]] = {
    "throttle": _throttle,
    "unverified": _bad_credentials,
    "token_expired": _bad_credentials,
    "binding": lambda _fault, _caller: failure(binding_expired(), flat=False),
    "forbidden": lambda fault, caller: failure(forbidden(fault.code or "app_forbidden"), flat=caller.bearer),
    "fail_ok": _failed_with_200,
    "meta_error": _failed_with_200,
    "error_html": lambda fault, _caller: Reply(fault.status or 503, HTML, _HTML_TYPE),
    "html_ok": lambda _fault, _caller: Reply(200, HTML, _HTML_TYPE),
    "empty_body": lambda fault, _caller: Reply(fault.status or 400, b""),
}
