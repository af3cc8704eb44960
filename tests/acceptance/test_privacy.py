"""What a destination must not see reaches none of its wires: not live, not replayed, not as a dead letter retried."""

import hashlib
import hmac
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mcwatch.simulator import Simulator, SimulatorConfig
from mcwatch.simulator.given import mails_from
from mcwatch.simulator.mail import Address
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.conftest import PLENTY
from tests.acceptance.counterparts import Hook, Tap
from tests.acceptance.daemon import CONFIG, Daemon, run_command
from tests.acceptance.waiting import eventually
from tests.fakes.elasticsearch import BulkReceiver
from tests.fakes.hec import Hec

_KEY = "a key that nobody guesses, 32 or more"
_MARK = "zebra4711"
"""Stands in every planted value, in letters that no format escapes and no hash holds."""
_HOSTILE = (
    "\r\n<14>1 2026-01-05T09:30:00Z forged app - - - {mark}", 'quote " \\ ] | = {mark}', "\x00\x1b[2J{mark}",
    "\u202e{mark} \N{RIGHT-TO-LEFT MARK}", "<script>{mark}</script>", "\N{PILE OF POO} {mark} " + "x" * 4096,
    "CEF:0|a|b|{mark}|src=1.2.3.4", '{{"event_id":"{mark}"}}', "plain {mark}",
)  # fmt: skip
_FIELDS = {
    "subject": "drop",
    "from_envelope.address": "hash",
    "from_envelope.name": "drop",
    "from_header.address": "hash",
    "from_header.name": "hash",
    "to.address": "hash",
    "to.name": "drop",
    "sender_ip": "hash",
}
_EXTRA = "tenantHint"
"""A key of some rows that nobody has described."""
_LEAST = 6
"""Characters of a value that may be looked for: shorter ones stand in other words by chance."""
_PAGES = ("/metrics", "/status", "/", "/readyz")


@dataclass
class World:
    """A redacted destination of each kind, an unredacted one for the truth, and the wires in between."""

    place: Path
    simulator: Simulator
    hook: Hook
    hec: Hec
    elastic: BulkReceiver
    taps: dict[str, Tap]
    config: Config

    @property
    def truth(self) -> list[dict[str, Any]]:
        """All events as the unredacted destination has them."""
        archive = self.place / "truth.ndjson"
        return [json.loads(line) for line in archive.read_bytes().split(b"\n")[:-1]] if archive.exists() else []

    def wires(self) -> dict[str, bytes]:
        """Return every byte that has reached each redacted destination."""
        kept = {name: bytes(tap.taken) for name, tap in self.taps.items()}
        for name, file in (("console", "stdout"), ("file", "redacted.ndjson")):
            kept[name] = (self.place / file).read_bytes() if (self.place / file).exists() else b""
        return kept

    def have_all(self) -> bool:
        """Tell whether every event has reached every wire."""
        wires = self.wires()
        return all(event["event_id"].encode() in wire for wire in wires.values() for event in self.truth)


def _destinations(taps: dict[str, Tap]) -> Iterator[Config]:
    plain = {"compression": "none"}
    syslog = {"type": "syslog", "max_message": "64KiB"}
    sinks: dict[str, tuple[dict[str, object], str]] = {
        "file": ({"type": "file", "path": "redacted.ndjson"}, "json"),
        "console": ({"type": "stdout"}, "ocsf"),
        "hook": ({"type": "http", "url": taps["hook"].url, **plain}, "json"),
        "syslog-json": ({**syslog, "address": f"127.0.0.1:{taps['syslog-json'].port}"}, "json"),
        "syslog-cef": ({**syslog, "address": f"127.0.0.1:{taps['syslog-cef'].port}"}, "cef"),
        "syslog-leef": ({**syslog, "address": f"127.0.0.1:{taps['syslog-leef'].port}"}, "leef"),
    }
    redact = {"key": _KEY, "fields": _FIELDS}
    for name, (sink, form) in sinks.items():
        yield {"name": name, "sink": sink, "format": {"type": form}, "start": "earliest", "redact": redact}
    yield configuration.splunk(taps["splunk"].url, sink=plain, format={"type": "cim"}, redact=redact)
    yield configuration.elasticsearch(taps["elastic"].url, sink=plain, redact=redact)
    yield configuration.file("truth.ndjson", "truth")


@pytest.fixture
async def world(place: Path, webhook: Hook, hec: Hec, elastic: BulkReceiver) -> AsyncIterator[World]:
    """Start everything, with hostile mail, odd rows and ordinary mail."""
    busy = SimulatorConfig(
        seed=11, mails_per_minute=300.0, history_secs=30.0, dwell_secs=1.0, appearance_secs=0.5, speed=600.0,
        hostile_share=0.3, odd_share=0.3, quota=PLENTY,
    )  # fmt: skip
    behind = {"hook": webhook.port, "splunk": hec.port, "elastic": elastic.port}
    syslogs = ("syslog-json", "syslog-cef", "syslog-leef")
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(busy))
        taps = {name: await stack.enter_async_context(Tap(port)) for name, port in behind.items()}
        taps.update({name: await stack.enter_async_context(Tap()) for name in syslogs})
        config = configuration.whole(
            [configuration.account(simulator)], list(_destinations(taps)), log={"level": "debug"}
        )
        yield World(place, simulator, webhook, hec, elastic, taps, config)


def _plant(simulator: Simulator) -> None:
    """Add mail whose every value bears the mark, in both feeds and with a change of status."""
    dice = random.Random(3)
    for number, subject in enumerate(_HOSTILE):
        description: dict[str, object] = {
            "from": f"{_MARK}.from{number}@partner.example",
            "header_from": f"{_MARK}.header{number}@Partner.example",
            "to": [f"{_MARK}.to@corp.example", f"{_MARK}.to{number}@corp.example"],
            "subject": subject.format(mark=_MARK),
            "sender_ip": f"203.0.113.{200 + number}",
            "oddity": dice.choice(["", "unknown_keys", "other_keys", "floats"]),
            "life": [
                {"after_secs": 0, "queue": "processing", "info": f"{_MARK} info"},
                {"after_secs": 0, "status": "held", "info": f"Held for {_MARK}"},
                {"after_secs": 1, "status": "accepted", "info": f"Released for {_MARK}"},
                {"after_secs": 1, "queue": "left"},
            ],
        }
        [mail] = mails_from(description, simulator.now(), simulator.world().number_added())
        simulator.world().add(
            replace(
                mail,
                envelope_from=Address(mail.envelope_from.address, f"Envelope {_MARK}"),
                header_from=Address(mail.header_from.address, f'Header "{_MARK}" \\ | ='),
                to=tuple(Address(one.address, f"To {_MARK}") for one in mail.to),
            )
        )


def _secrets(events: list[dict[str, Any]]) -> set[str]:
    """Return everything of these events that no redacted destination may show."""
    found: set[object] = set()
    for event in events:
        message, previous = event["message"], event["previous"] or {}
        for part in (message, previous):
            found |= {part.get(name) for name in ("subject", "id", "key", "sender_ip", "info")}
        people = [message.get("from_envelope"), message.get("from_header"), *(message.get("to") or ())]
        found |= {one.get(name) for one in people if one for name in ("address", "name")}
    # An envelope's address may be no more than a name, and a subject no more than a word that stands everywhere.
    return {one for one in found if isinstance(one, str) and len(one.strip()) >= _LEAST}


def _spellings(value: str) -> set[bytes]:
    """Return how the formats may write a value."""
    quoted = {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    escaped = value.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
    return {text.encode("utf-8", "surrogatepass") for text in (value, *quoted, escaped)}


def _leaks(where: dict[str, bytes], events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return what shows and where."""
    secrets = _secrets(events)
    assert len(secrets) > 100, "there was something to hide"
    assert any(_EXTRA in event["message"].get("extra", {}) for event in events)
    return [
        (name, secret)
        for secret in secrets | {_MARK, _EXTRA}
        for spelling in _spellings(secret)
        for name, text in where.items()
        if spelling in text
    ]


def _hash(text: str) -> bytes:
    return hmac.new(_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()[:32].encode()


async def test_nothing_redacted_reaches_any_wire(place: Path, world: World) -> None:
    """No subject, address, name, IP, id, key, info or extra is in any byte sent, logged or shown; hashes can be joined.

    Nor do replays and retried dead letters show them. Event ids are those of the unredacted destination.
    """
    _plant(world.simulator)
    world.elastic.options.chosen = lambda _id, document: (
        (400, "mapper_parsing_exception", "it is held") if "held" in json.dumps(document) else None
    )
    async with Daemon(place, world.config) as daemon:
        await eventually(lambda: any(event["previous"] for event in world.truth))
        world.simulator.stop_mail()
        await eventually(lambda: len(world.truth) > 50)

        async def settled() -> bool:
            scrape = await daemon.metrics()
            scrape.assert_conserved()
            return scrape.value("outbox_events") == 0 and scrape.value("dead_letters") > 0

        await eventually(settled, 30.0)
        shown = {path: (await daemon.get(path)).text.encode() for path in _PAGES}
        live = world.wires()
        world.elastic.options.chosen = lambda _id, _document: None
        done = await run_command(place, "dead-letters", "retry", "--all", "-c", CONFIG)
        assert 0 == done.code, done.stdout + done.stderr
        await eventually(world.have_all)
        for name in ("hook", "syslog-cef", "splunk"):
            done = await run_command(place, "replay", "-c", CONFIG, "--destination", name, "--from", "1h")
            assert 0 == done.code, done.stderr
        replayed = world.wires()
        assert 0 == await daemon.stop()
        shown["log"] = daemon.stderr.encode()
    for name in ("hook", "syslog-cef", "splunk", "elastic"):
        assert len(replayed[name]) > len(live[name]), "it was sent again"
    truth = world.truth
    assert [] == _leaks({**replayed, **shown}, truth)
    assert world.have_all(), "event ids are those of the unredacted destination"
    hashes = [_hash(f"{_MARK}.to@corp.example"), _hash(f"{_MARK}.header0@partner.example"), _hash("203.0.113.200")]
    missing = [name for name, wire in replayed.items() if not all(one in wire for one in hashes)]
    assert [] == missing, "equal values have equal hashes everywhere"
