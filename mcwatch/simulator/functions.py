"""The functions behind the API's paths, for one account."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal

from mcwatch.simulator.births import Births, Flow
from mcwatch.simulator.config import AccountConfig, SimulatorConfig
from mcwatch.simulator.envelope import MALFORMED, Answer, Call, Item, RefusedError
from mcwatch.simulator.finder import Finder
from mcwatch.simulator.ledger import Sighting, Source
from mcwatch.simulator.lives import Pace
from mcwatch.simulator.paging import page_of
from mcwatch.simulator.processing import QUEUES, ProcessingQueue
from mcwatch.simulator.rows import Writer
from mcwatch.simulator.world import EVERYTHING, Search, World

Endpoint = Literal["queue", "finder", "domains"]

PATHS: Final[Mapping[str, Endpoint]] = MappingProxyType(
    {
        "/api/gateway/find-processing-messages": "queue",
        "/api/message-finder/search": "finder",
        "/api/domain/get-internal-domain": "domains",
    }
)
SOURCES: Final[Mapping[str, Source]] = MappingProxyType({"queue": "processing_queue", "finder": "message_finder"})


class Functions:
    """One account's world and what can be asked of it."""

    def __init__(self, config: SimulatorConfig, account: AccountConfig, started_at: float) -> None:
        flow = Flow(
            per_minute=config.mails_per_minute,
            hostile_share=config.hostile_share,
            odd_share=config.odd_share,
            twin_share=config.twin_share,
            pace=Pace(config.dwell_secs, config.appearance_secs, config.speed),
        )
        births = Births(config.seed, account.name, account.domains, flow)
        self.world = World(births, started_at - config.history_secs, config.dwell_secs)
        self._writer = writer = Writer(account.name, config.seed)
        queue = ProcessingQueue(config, account, self.world, writer)
        finder = Finder(config, account, self.world, writer)
        self._account = account
        self._domains_shape = config.domains
        self._domain_rows: list[object] = []
        self.list_domains(account.domains)
        self._functions: dict[Endpoint, Callable[[Call, Item, float], Answer]] = {
            "queue": queue.answer,
            "finder": finder.answer,
            "domains": self._domains,
        }

    def list_domains(self, domains: Iterable[object]) -> None:
        """List these domains from now on: a text is a domain's name, anything else the row itself, however odd.

        Mail goes on being sent to the domains that the account began with.
        """
        self._domain_rows = [
            {"id": f"eNpDomain{number}", "domain": domain, "sendOnly": False, "local": True, "inboundType": "any"}
            if isinstance(domain, str)
            else domain
            for number, domain in enumerate(domains, start=1)
        ]

    def answers(self, endpoint: Endpoint, call: Call, now: float) -> list[Answer]:
        """Answer a call item by item; an item that breaks a rule yields an answer that failed.

        Raises RefusedError when there is no item at all.
        """
        if not call.items:
            raise RefusedError(400, MALFORMED, "data must not be empty", "data")
        return [self._one(endpoint, call, item, now) for item in call.items]

    def visible(self, now: float) -> Iterator[Sighting]:
        """Yield all that a client could be shown at this instant, without showing it; ids are those of stable ids."""
        everything = self.world.find(Search(EVERYTHING, 0.0, now), now, 0, sys.maxsize)
        yield from (self._writer.finder_row(row, None)[1] for row in everything.rows)
        for kind in QUEUES:
            yield from (self._writer.queue_entry(entry)[1] for entry in self.world.queue(kind, now))

    def _one(self, endpoint: Endpoint, call: Call, item: Item, now: float) -> Answer:
        try:
            return self._functions[endpoint](call, item, now)
        except RefusedError as refused:
            return Answer(fail=[refused.nested(item)], status=refused.status)

    def _domains(self, call: Call, item: Item, _now: float) -> Answer:
        rows, shape = self._domain_rows, self._domains_shape
        if shape is None:
            return Answer(data=list(rows))
        page = page_of(call, item, f"domains|{self._account.name}", shape)
        shown = rows[page.offset : page.offset + page.size]
        return Answer(data=shown, pagination=page.pagination(len(rows), shape))


def merged(answers: list[Answer]) -> Answer:
    """Join the answers to several items: results and failures are per item (reference notes §E)."""
    if len(answers) == 1:
        return answers[0]
    whole = Answer(pagination=answers[-1].pagination)
    for answer in answers:
        whole.data += answer.data
        whole.fail += answer.fail
        whole.sightings += answer.sightings
    return whole
