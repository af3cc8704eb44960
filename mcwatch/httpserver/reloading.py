"""``POST /-/reload``: the one thing that can be had done over the HTTP listener, where it is enabled."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from mcwatch.domain.errors import ConfigError
from mcwatch.domain.failure import Failure
from mcwatch.httpserver.answers import json_answer


class ReloadAnswer(msgspec.Struct, frozen=True):
    """What came of it: what was changed, or the problems for which the configuration before stays at work."""

    changed: list[str] = []
    problems: list[str] = []


Reload = Callable[[], Awaitable[ReloadAnswer]]


def reload_route(reload: Reload) -> web.AbstractRouteDef:
    """Return the route; a ConfigError of ``reload`` is an answer with its problems."""

    async def answer(request: web.Request) -> web.Response:
        # All browsers say on a POST which page it comes from, and no page of ours sends one. Comparing the origin with
        # ours would not do: a page of a stranger may have its name resolved to this machine.
        if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
            return json_answer(
                Failure("POST /-/reload: not from a browser", "refused", "use curl, SIGHUP or your orchestrator"),
                403,
            )
        try:
            # Whoever hangs up must not leave a half of it done.
            outcome = await asyncio.shield(reload())
        except ConfigError as error:
            outcome = ReloadAnswer(problems=list(error.problems))
        return json_answer(outcome, 400 if outcome.problems else 200)

    return web.post("/-/reload", answer)
