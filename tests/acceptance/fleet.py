"""One receiver of every kind at once, each with faults, and what each of them ended up with."""

import json
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.acceptance.counterparts import Hook
from tests.acceptance.waiting import pass_time
from tests.fakes.elasticsearch import BulkReceiver, whole_error
from tests.fakes.hec import TOKEN, Hec, said
from tests.integration.rsyslog import Receiver, Rsyslog, rsyslogd

_FAULTS = 0.15
"""Share of requests that something befalls."""
_CEF_ID = re.compile(r"\bexternalId=([0-9a-f]{32})\b")
_INDEXED_EVERY_SECS = 0.3

Ids = list[str]


@dataclass
class Fleet:
    """The receivers; ``ids`` of each destination are those of the events it holds, in the order they came."""

    place: Path
    hook: Hook
    hec: Hec
    elastic: BulkReceiver
    relp: Rsyslog
    tcp: Rsyslog
    dice: random.Random
    faulty: bool = True

    def __post_init__(self) -> None:
        self.hook.refuse = self._refused_by_hook
        self.hook.before_answer = self._after_the_hook_has_taken
        self.hec.is_slow = True
        self.elastic.options.chosen = self._chosen_by_elastic

    def destinations(self) -> list[dict[str, Any]]:
        """Return the destinations of the configuration: every kind of sink, every format."""
        sinks: dict[str, tuple[dict[str, Any], str]] = {
            "archive": ({"type": "file", "path": "events.ndjson", "rotate_at": "256KiB", "keep": 1000}, "json"),
            "console": ({"type": "stdout"}, "json"),
            "hook": ({"type": "http", "url": self.hook.url, "timeout": "3s"}, "ocsf"),
            "splunk": (
                {"type": "splunk_hec", "url": self.hec.url, "token": TOKEN, "ack_timeout": "2s", "timeout": "3s"},
                "cim",
            ),
            "elastic": (
                {"type": "elasticsearch", "url": self.elastic.url, "data_stream": "logs-mimecast-default"},
                "ecs",
            ),
            "relp": (
                {"type": "syslog", "address": self.relp.address, "transport": "relp", "max_message": "32KiB"},
                "leef",
            ),
            "syslog": ({"type": "syslog", "address": self.tcp.address, "max_message": "32KiB"}, "cef"),
        }
        return [
            {"name": name, "sink": sink, "format": {"type": form}, "start": "earliest", "batch": {"max_events": 50}}
            for name, (sink, form) in sinks.items()
        ]

    def lines(self) -> dict[str, list[bytes]]:
        """Return the payloads that each destination holds, as they came."""
        return {
            "archive": [line for path in self._archives() for line in path.read_bytes().split(b"\n")[:-1]],
            "console": [line for line in (self.place / "stdout").read_bytes().split(b"\n") if _is_whole(line)],
            "hook": self.hook.lines,
            "splunk": [bytes(envelope["event"]) for envelope in self.hec.indexed],
            "elastic": self.elastic.written,
            "relp": [message.msg.encode() for message in self.relp.messages()],
            "syslog": [message.msg.encode() for message in self.tcp.messages()],
        }

    def ids(self) -> dict[str, Ids]:
        """Return the ids of the events that each destination holds."""
        names: dict[str, Callable[[Any], str]] = {
            "archive": lambda event: event["event_id"],
            "console": lambda event: event["event_id"],
            "hook": lambda event: event["metadata"]["uid"],
            "splunk": lambda event: event["event_id"],
            "elastic": lambda event: event["event"]["id"],
        }
        lines = self.lines()
        found = {name: [read(json.loads(line)) for line in lines[name]] for name, read in names.items()}
        for name, server in (("relp", self.relp), ("syslog", self.tcp)):
            found[name] = [message.parsed["mcwatch@32473"]["event_id"] for message in server.messages()]
        return found

    def _archives(self) -> list[Path]:
        """Return the files, oldest first."""
        rotated = sorted(self.place.glob("events.ndjson.*"), key=lambda path: -int(path.suffix[1:]))
        return [*rotated, self.place / "events.ndjson"]

    def _strikes(self) -> bool:
        return self.faulty and self.dice.random() < _FAULTS

    def _refused_by_hook(self, _lines: list[bytes]) -> web.Response | None:
        if not self._strikes():
            return None
        status = self.dice.choice([500, 502, 503, 429, 408])
        return web.Response(status=status, headers={"Retry-After": "0"}, text="<html>not now</html>")

    def _after_the_hook_has_taken(self) -> None:
        if self._strikes():
            raise web.HTTPInternalServerError

    def _chosen_by_elastic(self, _identity: str, _document: dict[str, Any]) -> tuple[int, str, str] | None:
        if self.faulty and self.dice.random() < _FAULTS / 20:
            return 429, "es_rejected_execution_exception", "rejected execution of coordinating operation"
        return None

    def _befalls_hec(self, _request: web.Request) -> web.Response | None:
        match self.dice.randrange(4):
            case 0:
                return said(9)
            case 1:
                return web.Response(status=503, text="<html>busy</html>", content_type="text/html")
            case 2:
                self.hec.losing = 1
            case _:
                self.hec.crash()
        return None

    async def misbehave(self) -> None:
        """Index what Splunk has taken, and let things happen to all receivers, for ever."""
        while True:
            await pass_time(_INDEXED_EVERY_SECS)
            self.hec.index()
            if self._strikes():
                self.hec.answers.append(self._befalls_hec)
            if self._strikes():
                self.elastic.whole.append(self.dice.choice([whole_error(429), whole_error(503), whole_error(502)]))
            if self._strikes() and self.dice.random() < 0.5:
                await self.relp.stop()
                await self.relp.start()

    def recover(self) -> None:
        """Let nothing happen any more."""
        self.faulty = False
        self.hec.answers.clear()
        self.elastic.whole.clear()


def _is_whole(line: bytes) -> bool:
    """Tell whether a line of a pipe was written to its end; a kill may cut one."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@asynccontextmanager
async def fleet(place: Path, require_program: Callable[[str], Path], dice: random.Random) -> AsyncIterator[Fleet]:
    """Run all receivers."""
    async with AsyncExitStack() as stack:
        servers = {}
        for receiver in (Receiver("relp"), Receiver("tcp")):
            directory = place.parent / receiver.transport
            directory.mkdir()
            running = rsyslogd(require_program, directory, receiver)
            servers[receiver.transport] = await stack.enter_async_context(running)
        hook = await stack.enter_async_context(Hook())
        hec = await stack.enter_async_context(Hec())
        elastic = BulkReceiver()
        await elastic.start()
        stack.push_async_callback(elastic.stop)
        yield Fleet(place, hook, hec, elastic, servers["relp"], servers["tcp"], dice)
