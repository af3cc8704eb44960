"""The receiver in a process of its own: ``python -m tests.fakes.hec --port 8088 --out FILE``.

It prints its port once it listens, and appends what is indexed to the file, one envelope per line.
"""

import argparse
import asyncio
import random
import signal
from pathlib import Path
from typing import TextIO

import msgspec
from aiohttp import web

from tests.fakes.hec.answers import said
from tests.fakes.hec.indexer import Envelope
from tests.fakes.hec.server import TOKEN, Hec, Token


class Fate:
    """What befalls requests: a busy server, a proxy's page, a lost answer, a crash of the indexer, or nothing."""

    def __init__(self, hec: Hec, rng: random.Random, share: float) -> None:
        self._hec = hec
        self._rng = rng
        self._share = share

    def __call__(self, _request: web.Request) -> web.Response | None:
        """Draw one."""
        self._hec.answers.append(self)
        if self._rng.random() >= self._share:
            return None
        match self._rng.randrange(4):
            case 0:
                return said(9)
            case 1:
                return web.Response(status=503, text="<html>busy</html>", content_type="text/html")
            case 2:
                self._hec.losing = 1
            case _:
                self._hec.crash()
        return None


async def _serve(options: argparse.Namespace, out: TextIO) -> None:
    hec = Hec(port=options.port)
    hec.tokens = {options.token: Token(has_ack=options.ack)}
    hec.is_slow = options.delay > 0
    if options.faults:
        hec.answers.append(Fate(hec, random.Random(options.seed), options.faults))

    def keep(events: list[Envelope]) -> None:
        out.writelines(msgspec.json.encode(event).decode() + "\n" for event in events)
        out.flush()
        for kept in (hec.indexed, hec.requests, hec.bodies):
            kept.clear()

    hec.on_index = keep
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with hec:
        print(hec.port, flush=True)
        while not stop.is_set():
            await asyncio.sleep(options.delay or 0.1)
            hec.index()


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="file that what is indexed is appended to")
    parser.add_argument("--token", default=TOKEN)
    parser.add_argument("--no-ack", dest="ack", action="store_false", help="a token without acknowledgement")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds until what was taken is indexed")
    parser.add_argument("--faults", type=float, default=0.0, help="share of requests that something befalls")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with options.out.open("a", encoding="utf-8") as out:
        asyncio.run(_serve(options, out))


if __name__ == "__main__":
    main()
