"""What every route shares: protective headers, JSON answers, errors of the tree as JSON."""

from collections.abc import Iterable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from mcwatch.domain.errors import FailureReason, McwatchError, StoreUnavailable
from mcwatch.domain.failure import Failure

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "mcwatch",
}
_MAX_REQUEST_BYTES = 64 * 1024


def json_answer(value: object, status: int = 200) -> web.Response:
    """Answer with a value that msgspec can encode."""
    return web.Response(body=msgspec.json.encode(value) + b"\n", status=status, content_type="application/json")


def application(routes: Iterable[web.AbstractRouteDef], guard: Middleware | None = None) -> web.Application:
    """Build an application whose every answer, errors included, carries the protective headers.

    ``guard`` sees each request first, those for paths that do not exist too.
    """
    middlewares = [_errors_as_json, *([guard] if guard else [])]
    built = web.Application(client_max_size=_MAX_REQUEST_BYTES, middlewares=middlewares)
    built.add_routes(routes)
    built.on_response_prepare.append(_add_headers)
    return built


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def failure(error: McwatchError | TimeoutError) -> tuple[Failure, int]:
    """Return what to say of a failure, and the HTTP status."""
    if isinstance(error, McwatchError):
        later = isinstance(error, StoreUnavailable) or error.reason is FailureReason.TIMEOUT
        return Failure(str(error), error.reason, error.remedy), 503 if later else 400
    return Failure("mcwatch did not answer in time", FailureReason.TIMEOUT, "try again; see the log"), 503


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as answer:
        refusal = json_answer(Failure(f"{request.method} {request.path}: {answer.reason}", "refused"), answer.status)
        if "Allow" in answer.headers:
            refusal.headers["Allow"] = answer.headers["Allow"]
        return refusal
    except (McwatchError, TimeoutError) as error:
        return json_answer(*failure(error))
