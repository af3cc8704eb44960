"""`/_simulator/…`: what a test asks the simulator, and what it tells it to do."""

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from mcwatch.simulator.config import AccountConfig
from mcwatch.simulator.faults import FAULT_KINDS, PROFILES, Fault, Faults
from mcwatch.simulator.functions import Functions
from mcwatch.simulator.given import MailError, mails_from
from mcwatch.simulator.ledger import Ledger, as_line
from mcwatch.simulator.stats import Stats

_NDJSON: Final = "application/x-ndjson"
_ENDPOINTS: Final = frozenset({"token", "login", "queue", "finder", "domains"})


class Control:
    """The control endpoints; they need no credentials, for the server listens on loopback only."""

    def __init__(
        self,
        accounts: Iterable[AccountConfig],
        functions: Mapping[str, Functions],
        faults: Faults,
        ledger: Ledger,
        stats: Stats,
        clock: Callable[[], float],
    ) -> None:
        self._accounts = tuple(accounts)
        self._functions = functions
        self._faults = faults
        self._ledger = ledger
        self._stats = stats
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to register."""
        handlers: list[tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]]] = [
            ("GET", "info", self._info),
            ("GET", "stats", self._read_stats),
            ("GET", "ledger", self._read_ledger),
            ("DELETE", "ledger", self._clear_ledger),
            ("GET", "visible", self._read_visible),
            ("POST", "faults", self._add_faults),
            ("DELETE", "faults", self._clear_faults),
            ("POST", "mail", self._add_mail),
            ("POST", "stop-mail", self._stop_mail),
            ("POST", "domains", self._set_domains),
        ]
        return [web.route(method, f"/_simulator/{name}", handler) for method, name, handler in handlers]

    async def _info(self, request: web.Request) -> web.Response:
        return _json(
            {
                "base_url": f"http://{request.host}",
                "now": self._clock(),
                "accounts": [_account(account) for account in self._accounts],
                "fault_profiles": list(PROFILES),
                "fault_kinds": sorted(FAULT_KINDS),
            }
        )

    async def _read_stats(self, _request: web.Request) -> web.Response:
        return _json(self._stats.as_object(self._faults.injected, len(self._ledger)))

    async def _read_ledger(self, request: web.Request) -> web.Response:
        return _lines(request, self._ledger.lines(request.query.get("account")))

    async def _read_visible(self, request: web.Request) -> web.Response:
        wanted, now = request.query.get("account"), self._clock()
        chosen = [functions for name, functions in self._functions.items() if wanted in {None, name}]
        return _lines(request, (as_line(sighting) for functions in chosen for sighting in functions.visible(now)))

    async def _clear_ledger(self, _request: web.Request) -> web.Response:
        self._ledger.clear()
        return _json({"ledger_size": 0})

    async def _add_faults(self, request: web.Request) -> web.Response:
        content = await _content(request)
        try:
            faults = [_fault(item) for item in content.get("faults", [])]
            if "profile" in content:
                self._faults.use(content["profile"])
        except (ValueError, TypeError) as error:
            return _json({"error": str(error)}, status=400)
        self._faults.script(faults)
        return _json({"pending": sum(fault.times for fault in self._faults.pending)})

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        self._faults.use("none")
        return _json({"pending": 0})

    async def _add_mail(self, request: web.Request) -> web.Response:
        content = await _content(request)
        name = content.pop("account", self._accounts[0].name)
        if name not in self._functions:
            return _json({"error": f"no account {name!r}"}, status=400)
        try:
            mails = mails_from(content, self._clock(), self._functions[name].world.number_added())
        except MailError as error:
            return _json({"error": str(error)}, status=400)
        for mail in mails:
            self._functions[name].world.add(mail)
        return _json({"added": [mail.uid for mail in mails], "message_ids": [mail.message_id for mail in mails]})

    async def _set_domains(self, request: web.Request) -> web.Response:
        content = await _content(request)
        name, domains = content.get("account", self._accounts[0].name), content.get("domains")
        if name not in self._functions:
            return _json({"error": f"no account {name!r}"}, status=400)
        if not isinstance(domains, list):
            return _json({"error": "domains must be a list; a text is a name, anything else a row"}, status=400)
        self._functions[name].list_domains(domains)
        return _json({"listed": len(domains)})

    async def _stop_mail(self, _request: web.Request) -> web.Response:
        now = self._clock()
        worlds = [functions.world for functions in self._functions.values()]
        for world in worlds:
            world.stop(now)
        empty_at = max(world.queue_empty_at(now) for world in worlds)
        # JSON has no infinity: null where a mail added by hand never leaves.
        return _json({"stopped_at": now, "queue_empty_at": empty_at if math.isfinite(empty_at) else None})


def _account(account: AccountConfig) -> dict[str, object]:
    return {
        "name": account.name,
        "domains": account.domains,
        "oauth2": {"client_id": account.client_id, "client_secret": account.client_secret},
        "hmac": {
            "app_id": account.app_id,
            "app_key": account.app_key,
            "access_key": account.access_key,
            "secret_key": account.secret_key,
            "user_name": account.user_name,
            "password": account.password,
        },
    }


def _fault(item: object) -> Fault:
    if isinstance(item, str):
        item = {"kind": item}
    fault = msgspec.convert(item, Fault)
    if fault.endpoint not in {None, *_ENDPOINTS}:
        message = f"no endpoint {fault.endpoint!r}; there are {', '.join(sorted(_ENDPOINTS))}"
        raise ValueError(message)
    return fault


async def _content(request: web.Request) -> dict[str, Any]:
    body = await request.read()
    try:
        content = msgspec.json.decode(body) if body else {}
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    return content if isinstance(content, dict) else {}


def _lines(request: web.Request, lines: Iterable[dict[str, object]]) -> web.Response:
    if request.query.get("format") == "json":
        return _json(list(lines))
    body = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    return web.Response(body=body, content_type=_NDJSON)


def _json(content: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(content), content_type="application/json")
