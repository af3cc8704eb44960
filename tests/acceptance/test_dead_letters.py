"""What a receiver refuses for good, and every row that cannot be read: kept, listed, masked, sent again, given up."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from mcwatch.simulator import Simulator
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from mcwatch.telemetry.metrics import Metrics
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.counterparts import Front, Hook
from tests.acceptance.daemon import CONFIG, Daemon, Finished, Scrape, run_command, run_commands
from tests.acceptance.waiting import eventually
from tests.fakes.clock import FakeClock
from tests.fakes.elasticsearch import BulkReceiver
from tests.fakes.hec import Hec, said

_SUBJECT = "Planted Zebra 4711"
_SENDER = "planted.spy@partner.example"
_RECIPIENT = "planted.amy@corp.example"
_NAME = "Amelia Planted"
_IP = "203.0.113.77"
_MAIL = (_SUBJECT, _SENDER, _RECIPIENT, _NAME, _IP)
_QUOTATION = f"failed to parse field [email.subject] with value '{_SUBJECT}' of {_SENDER} ({_IP}) to \"{_NAME}\""
_DISCARDED_SECS = 12.0
"""A destination that is full of dead letters looks every 5 s whether some are gone."""


async def command(place: Path, *args: str) -> Finished:
    """Run a command about dead letters."""
    return await run_command(place, "dead-letters", *args, "-c", CONFIG)


async def listed(place: Path, *args: str) -> list[dict[str, Any]]:
    """Return what ``list`` says."""
    done = await command(place, "list", "--output", "json", *args)
    assert 0 == done.code, done.stderr
    letters: list[dict[str, Any]] = json.loads(done.stdout)
    return letters


@dataclass
class Receivers:
    """Three receivers that refuse planted mail, two of them by name, until they are mended."""

    hook: Hook
    hec: Hec
    elastic: BulkReceiver

    def refuse(self) -> None:
        """Refuse planted mail."""
        self.hook.refuse = lambda lines: web.Response(status=422, text=_QUOTATION) if any(map(_bad, lines)) else None
        self.elastic.options.chosen = lambda _id, document: (
            (400, "mapper_parsing_exception", _QUOTATION) if _bad(json.dumps(document).encode()) else None
        )
        self.hec.answers.append(self._refused_by_splunk)

    def mend(self) -> None:
        """Take everything."""
        self.hook.refuse = lambda _lines: None
        self.elastic.options.chosen = lambda _id, _document: None
        self.hec.answers.clear()

    def _refused_by_splunk(self, request: web.Request) -> web.Response | None:
        self.hec.answers.append(self._refused_by_splunk)
        if not request.path.endswith("/event"):
            return None
        envelopes = [line for line in self.hec.bodies[-1].split(b"\n") if line]
        number = next((at for at, line in enumerate(envelopes) if _bad(line)), None)
        return None if number is None else said(6, number)

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many different events each holds."""
        splunk = {json.dumps(event, sort_keys=True) for event in self.hec.events}
        return len(set(self.hook.event_ids)), len(splunk), len(set(self.elastic.written))

    def destinations(self) -> list[Config]:
        """Return the destinations of the configuration."""
        plain = {"compression": "none"}
        return [
            configuration.hook(self.hook.url),
            configuration.splunk(self.hec.url, sink=plain),
            configuration.elasticsearch(self.elastic.url, sink=plain),
        ]


def _bad(line: bytes) -> bool:
    return b"Zebra" in line


@pytest.fixture
def receivers(webhook: Hook, hec: Hec, elastic: BulkReceiver) -> Receivers:
    """The three, refusing planted mail."""
    found = Receivers(webhook, hec, elastic)
    found.refuse()
    return found


def _add_mail(simulator: Simulator) -> None:
    """Add ten mails, the fourth and the seventh of which are refused."""
    for number in range(10):
        if number in (3, 6):
            simulator.add_mail(
                sender=_SENDER, header_from=_SENDER, to=[_RECIPIENT], subject=_SUBJECT, sender_ip=_IP,
                life=[{"after_secs": 0, "status": "held", "info": _NAME}],
            )  # fmt: skip
        else:
            simulator.add_mail(subject=f"good {number}")


async def _scrape_when(daemon: Daemon, holds: Callable[[Scrape], bool]) -> Scrape:
    """Return the first scrape of which that holds; each one is conserved."""

    async def scrape() -> Scrape | None:
        found = await daemon.metrics()
        found.assert_conserved()
        return found if holds(found) else None

    found = await eventually(scrape)
    assert found is not None
    return found


async def test_refused_events_are_kept_masked_and_sent_again(
    place: Path, simulator: Simulator, receivers: Receivers
) -> None:
    """One refused event costs none of the others, shows nothing of the mail, and is delivered once its cause is gone.

    So it is with receivers that name the event and with one that refuses the batch, with a daemon and without.
    """
    config = configuration.whole([configuration.account(simulator)], receivers.destinations())
    _add_mail(simulator)
    async with Daemon(place, config) as daemon:
        await eventually(lambda: receivers.counts == (8, 8, 8))
        # Proof for the hook, which named nothing: it takes what comes after them.
        simulator.add_mail(subject="good after all")
        await eventually(lambda: receivers.counts == (9, 9, 9))
        scrape = await _scrape_when(daemon, lambda one: one.value("dead_letters") == 6)
        for name in ("hook", "splunk", "elastic"):
            assert 2 == scrape.value("events_dead_lettered_total", destination=name)
            assert 1 == scrape.value("destination_up", destination=name)
        assert 6 == len(daemon.find("dead_letter", level="error", remedy="see mcwatch dead-letters list"))
        letters = await listed(place)
        assert {"hook": 2, "splunk": 2, "elastic": 2} == _by_destination(letters)
        await _shows_only_with_content(place, letters)

        refused = await command(place, "retry", "--all", "--output", "json")
        assert 1 == refused.code
        answer = json.loads(refused.stdout)
        assert (0, 6) == (answer["delivered"], sum(answer["left"].values())), "they stay"

        receivers.mend()
        one = next(str(letter["id"]) for letter in letters if letter["destination"] == "hook")
        done = await command(place, "retry", one)
        assert 0 == done.code, done.stderr
        assert "1 dead letters delivered" in done.stdout
        done = await command(place, "retry", "--destination", "elastic", "--output", "json")
        assert {"delivered": 2, "left": {}} == json.loads(done.stdout)
        assert (10, 9, 11) == receivers.counts
        scrape = await _scrape_when(daemon, lambda one: one.value("dead_letters") == 3)
        assert 1 == scrape.value("events_resent_total", destination="hook")
        assert 2 == scrape.value("events_resent_total", destination="elastic")
        assert 2 == scrape.value("events_dead_lettered_total", destination="elastic"), "a count does not go back"
        _assert_quiet(daemon.stderr, scrape.text, (await daemon.get("/status")).text, (await daemon.get("/")).text)
        assert 0 == await daemon.stop()
    await _without_a_daemon(place, receivers)


async def _shows_only_with_content(place: Path, letters: list[dict[str, Any]]) -> None:
    """Check ``list`` and ``show``: of the mail only what --content asks for."""
    letter = next(one for one in letters if one["destination"] == "elastic")
    number = str(letter["id"])
    asked = (
        ("list", "--destination", "elastic"),
        ("show", number),
        ("show", number, "--output", "json"),
        ("show", number, "--content", "--output", "json"),
        ("show", "4711"),
    )
    table, masked, masked_json, whole, missing = await run_commands(
        place, *[("dead-letters", *args, "-c", CONFIG) for args in asked]
    )
    for quiet in (table, masked, masked_json):
        assert 0 == quiet.code, quiet.stderr
        _assert_quiet(quiet.stdout)
        assert "mapper_parsing_exception" in quiet.stdout.replace("\n", "") or quiet is table
    _assert_quiet(json.dumps(letters))
    assert letter["event_id"] in masked.stdout
    for word in _MAIL:
        assert word in whole.stdout, word
    body = json.loads(json.loads(whole.stdout)["body"])
    assert (letter["event_id"], _SUBJECT) == (body["event_id"], body["message"]["subject"])
    assert (1, True) == (missing.code, "there is no dead letter 4711" in missing.stderr)


async def _without_a_daemon(place: Path, receivers: Receivers) -> None:
    """Check the commands against the store that the daemon has left."""
    letters = await listed(place)
    assert {"hook": 1, "splunk": 2} == _by_destination(letters)
    masked = await command(place, "show", str(letters[0]["id"]))
    _assert_quiet(masked.stdout)
    assert letters[0]["event_id"] in masked.stdout
    done = await command(place, "retry", "--destination", "splunk")
    assert 0 == done.code, done.stderr
    assert (10, 11, 11) == receivers.counts
    unsure = await command(place, "discard", "--all")
    assert 1 == unsure.code, "nobody is there to be asked"
    done = await command(place, "discard", "--all", "--yes")
    assert 0 == done.code, done.stderr
    assert "1 dead letters discarded" in done.stdout
    assert [] == await listed(place)


def _by_destination(letters: list[dict[str, Any]]) -> dict[str, int]:
    names = [letter["destination"] for letter in letters]
    return {name: names.count(name) for name in names}


def _assert_quiet(*texts: str) -> None:
    for text in texts:
        assert [] == [word for word in _MAIL if word in text]


async def test_a_destination_full_of_dead_letters_stops_alone_until_some_are_discarded(
    place: Path, simulator: Simulator, webhook: Hook, elastic: BulkReceiver
) -> None:
    """At store.max_dead_letters that destination stops and says what to do; the other goes on; discarding frees it."""
    elastic.options.chosen = lambda _id, document: (
        (400, "mapper_parsing_exception", "no") if _bad(json.dumps(document).encode()) else None
    )
    config = configuration.whole(
        [configuration.account(simulator)],
        [configuration.hook(webhook.url), configuration.elasticsearch(elastic.url)],
        store={"max_dead_letters": 2},
    )
    _add_mail(simulator)
    async with Daemon(place, config) as daemon:
        [down] = await eventually(lambda: daemon.find("component_down", destination="elastic"))
        assert "store.max_dead_letters is 2" in down["reason"]
        assert "retry or discard" in down["remedy"]
        simulator.add_mail(subject="good at last")
        await eventually(lambda: len(webhook.lines) == 11)
        assert 8 == len(elastic.written)
        scrape = await _scrape_when(daemon, lambda one: one.value("outbox_events", destination="elastic") == 1)
        assert (0, 1) == tuple(scrape.value("destination_up", destination=name) for name in ("elastic", "hook"))
        status = {one["name"]: one for one in (await daemon.status())["destinations"]}
        assert "retry or discard" in status["elastic"]["remedy"]
        done = await command(place, "discard", "--destination", "elastic", "--yes")
        assert "2 dead letters discarded" in done.stdout
        await eventually(lambda: len(elastic.written) == 9, _DISCARDED_SECS)
        await eventually(lambda: daemon.find("component_recovered", destination="elastic"))
        await _scrape_when(daemon, lambda one: one.value("outbox_events") == 0)
        assert 0 == await daemon.stop()


async def test_unreadable_rows_beyond_the_limit_keep_digest_and_reason(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """Rows that cannot be decoded never stop polling; beyond the limit only their bytes are not kept any more."""
    rows = [{"nothing to tell it by": number} for number in range(5)]
    async with Front(simulator.url) as front:
        config = configuration.whole(
            [configuration.account(simulator, base_url=front.url)],
            [configuration.hook(webhook.url)],
            store={"max_dead_letters": 2},
        )
        async with Daemon(place, config) as daemon:
            await eventually(lambda: daemon.find("poll_done", source="message_finder"))
            front.instead = _instead_of_the_finder(
                {
                    "meta": {"status": 200, "pagination": {"pageSize": 100}},
                    "data": [{"trackedEmails": rows}],
                    "fail": [],
                }
            )
            scrape = await _scrape_when(daemon, lambda one: one.value("records_undecodable_total") == 5)
            front.instead = lambda _request: None
            assert 5 == scrape.value("undecodable_dead_letters", account="demo")
            simulator.add_mail(subject="still read")
            await eventually(lambda: webhook.subjects() == ["still read"])
            letters = await listed(place, "--destination", "")
            assert 5 == len(letters)
            assert ["" for _ in letters] == [letter["destination"] for letter in letters]
            for letter in letters:
                assert "undecodable" == letter["reason"]
            bare = [letter for letter in letters if "SHA-256" in letter["detail"]]
            assert 3 == len(bare), letters
            assert [0, 0, 0] == [letter["size"] for letter in bare]
            assert 0 == await daemon.stop()


def _instead_of_the_finder(answer: dict[str, Any]) -> Callable[[web.Request], web.Response | None]:
    def instead(request: web.Request) -> web.Response | None:
        return web.json_response(answer) if request.path.endswith("/message-finder/search") else None

    return instead


async def test_a_receiver_that_refuses_everything_gets_nothing_given_up(
    place: Path, simulator: Simulator, webhook: Hook
) -> None:
    """Mass refusal takes the destination down without a dead letter; mended, it gets everything."""
    simulator.add_mail(subject="mail {n}", count=30)
    webhook.refuse = lambda _lines: web.Response(status=400, text="not a word of it")
    config = configuration.whole([configuration.account(simulator)], [configuration.hook(webhook.url)])
    async with Daemon(place, config) as daemon:
        [down] = await eventually(lambda: daemon.find("component_down", destination="hook"))
        assert "single events in a row and accepted none" in down["reason"]
        assert "nothing was given up" in down["remedy"]
        scrape = await _scrape_when(daemon, lambda one: one.value("outbox_events") == 30)
        assert 0 == scrape.value("dead_letters")
        assert 0 == scrape.value("destination_up", destination="hook")
        assert 0 == await daemon.stop()
    webhook.refuse = lambda _lines: None
    # A restart asks at once what the running daemon would ask within half a minute.
    async with Daemon(place, config) as daemon:
        await eventually(lambda: len(webhook.lines) == 30)
        scrape = await _scrape_when(daemon, lambda one: one.value("outbox_events") == 0)
        assert 0 == scrape.value("events_dead_lettered_total")
        assert 0 == await daemon.stop()
    assert 30 == len(set(webhook.event_ids))


async def test_dead_letters_past_their_age_are_counted_and_logged(
    place: Path, simulator: Simulator, elastic: BulkReceiver
) -> None:
    """What nobody looked at for keep_dead_letters goes, with a count and a warning; younger ones stay."""
    elastic.options.chosen = lambda _id, document: (
        (400, "mapper_parsing_exception", "no") if _bad(json.dumps(document).encode()) else None
    )
    simulator.add_mail(subject="Zebra", count=3)
    simulator.add_mail(subject="good")
    config = configuration.whole([configuration.account(simulator)], [configuration.elasticsearch(elastic.url)])
    async with Daemon(place, config) as daemon:
        await _scrape_when(daemon, lambda one: one.value("dead_letters") == 3)
        assert 0 == await daemon.stop()
    # The daemon expires by its own clock once a minute; here the clock is ours.
    clock, metrics = FakeClock(datetime.now(UTC)), Metrics()
    options = StoreOptions(place / "mcwatch.db", keep_dead_letters=timedelta(days=90), reserve_bytes=0)
    with capture_logs() as logs:
        async with SqliteStore(options, clock=clock, metrics=metrics) as store:
            clock.jump(89 * 86_400.0)
            while await store.expire(clock.now()):
                pass
            assert 3 == await store.dead_letter_count("elastic")
            clock.jump(2 * 86_400.0)
            while await store.expire(clock.now()):
                pass
            assert 0 == await store.dead_letter_count("elastic")
    assert 3 == metrics.registry.get_sample_value("mcwatch_dead_letters_expired_total")
    assert [("dead_letters_expired", "warning", 3)] == [
        (line["event"], line["log_level"], line["count"]) for line in logs if "count" in line
    ]
    assert [] == await listed(place)
