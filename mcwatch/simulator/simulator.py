"""The simulated Mimecast as one async context manager."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from aiohttp import web

from mcwatch.simulator.config import SimulatorConfig
from mcwatch.simulator.control import Control
from mcwatch.simulator.faults import Fault, Faults
from mcwatch.simulator.functions import Functions
from mcwatch.simulator.given import mails_from
from mcwatch.simulator.ledger import Ledger, Sighting
from mcwatch.simulator.mail import Mail
from mcwatch.simulator.server import LOGIN_PATH, TOKEN_PATH, Server
from mcwatch.simulator.stats import Stats
from mcwatch.simulator.times import wall_clock
from mcwatch.simulator.world import World


class Simulator:
    """A Mimecast API on a real socket; listens while the context is entered.

    `clock` returns seconds since 1970; the state of all mail is a function of the seed, the clock's value at
    construction, and its value at the moment of a call.
    """

    def __init__(self, config: SimulatorConfig | None = None, clock: Callable[[], float] = wall_clock) -> None:
        self.config = SimulatorConfig() if config is None else config
        self.ledger = Ledger()
        self.faults = Faults(self.config.faults, self.config.seed)
        self._clock = clock
        started_at = self.now()
        self._functions = {
            account.name: Functions(self.config, account, started_at) for account in self.config.accounts
        }
        self._server = Server(self.config, self._functions, self.faults, self.ledger, self.now)
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port listened on; 0 outside the context."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        return f"http://{self.config.host}:{self._port}"

    @property
    def stats(self) -> Stats:
        """What was counted."""
        return self._server.stats

    def now(self) -> float:
        """Return the server's time: the clock plus the configured offset."""
        return self._clock() + self.config.clock_offset_secs

    def world(self, account: str | None = None) -> World:
        """Return an account's mail; the first account's without a name."""
        return self._functions[self.config.accounts[0].name if account is None else account].world

    def add_mail(self, account: str | None = None, /, **mail: object) -> list[Mail]:
        """Add mail with a given life, described as for `POST /_simulator/mail`; `from` is spelt `sender`.

        Raises MailError when the description cannot be read.
        """
        if "sender" in mail:
            mail["from"] = mail.pop("sender")
        world = self.world(account)
        added = mails_from(mail, self.now(), world.number_added())
        for each in added:
            world.add(each)
        return added

    def script(self, *faults: Fault) -> None:
        """Let the next requests go wrong in exactly these ways, in this order."""
        self.faults.script(faults)

    def set_domains(self, account: str | None, domains: Iterable[object]) -> None:
        """List these domains of an account, the first without a name; what is not text is a row as it stands.

        The mail of the account stays that of its first domains.
        """
        self._functions[self.config.accounts[0].name if account is None else account].list_domains(domains)

    def expire_binding(self, account: str | None = None) -> None:
        """End the time of an account's API 1.0 keys, the first account's without a name; a login renews it."""
        self._server.expire_binding(self.config.accounts[0].name if account is None else account)

    def stop_mail(self) -> None:
        """Let no new mail be born; what exists lives on."""
        now = self.now()
        for functions in self._functions.values():
            functions.world.stop(now)

    def visible(self, account: str | None = None) -> list[Sighting]:
        """Return all that a client of one account, or of any, could be shown now; nothing counts as shown by it."""
        now = self.now()
        chosen = [functions for name, functions in self._functions.items() if account in {None, name}]
        return [sighting for functions in chosen for sighting in functions.visible(now)]

    async def __aenter__(self) -> Self:
        """Start to listen."""
        server = self._server
        control = Control(self.config.accounts, self._functions, self.faults, self.ledger, server.stats, self.now)
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.add_routes(control.routes())
        app.router.add_route("*", TOKEN_PATH, server.token)
        app.router.add_route("*", LOGIN_PATH, server.login)
        app.router.add_route("*", "/{path:.*}", server.api)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.config.host, self.config.port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to listen; connections still open are closed."""
        self._server.wire.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._port = 0
