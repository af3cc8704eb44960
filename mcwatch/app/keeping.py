"""What the store keeps beside the log, for commands: dead letters looked at and given up, destinations released."""

from collections.abc import Awaitable, Callable, Collection

import structlog

from mcwatch.domain.errors import PermanentError
from mcwatch.domain.outbox import KeptLetter
from mcwatch.domain.resending import Discarded, ForgetRequest, Forgotten, LetterRequest, ShownLetter
from mcwatch.httpserver.control import ControlRoute, acting_route
from mcwatch.interfaces import Store

_DISCARDED_AT_ONCE = 1_000
_SHOWN_AT_ONCE = 100

logger = structlog.get_logger(__name__)


def keeping_routes(store: Store, configured: Collection[str]) -> list[ControlRoute]:
    """Return the routes; ``configured`` are the destinations of the configuration."""
    return [
        acting_route("/dead-letters/show", LetterRequest, _showing(store)),
        acting_route("/dead-letters/discard", LetterRequest, _discarding(store)),
        acting_route("/destinations/forget", ForgetRequest, _forgetting(store, configured)),
    ]


def shown(kept: KeptLetter) -> ShownLetter:
    """Return a dead letter as a command shows it."""
    letter = kept.letter
    return ShownLetter(
        id=letter.id,
        account=letter.account,
        destination=letter.destination,
        event_id=letter.event_id,
        reason=letter.reason,
        detail=letter.detail,
        at=letter.at,
        size=letter.size,
        body=kept.body.decode("utf-8", "backslashreplace"),
    )


def _showing(store: Store) -> Callable[[LetterRequest], Awaitable[list[ShownLetter]]]:
    async def show(request: LetterRequest) -> list[ShownLetter]:
        return [shown(one) for one in await store.letters(request.choice, request.after, _SHOWN_AT_ONCE)]

    return show


def _discarding(store: Store) -> Callable[[LetterRequest], Awaitable[Discarded]]:
    async def discard(request: LetterRequest) -> Discarded:
        count = await store.discard(request.choice, _DISCARDED_AT_ONCE)
        if count:
            logger.warning("dead_letters_discarded", count=count)
        return Discarded(count=count, more=count == _DISCARDED_AT_ONCE)

    return discard


def _forgetting(store: Store, configured: Collection[str]) -> Callable[[ForgetRequest], Awaitable[Forgotten]]:
    async def forget(request: ForgetRequest) -> Forgotten:
        if request.name in configured:
            raise PermanentError(
                f"the destination {request.name} is configured",
                remedy="take it out of the configuration first, and restart or reload",
            )
        released = await store.forget(request.name)
        if released is None:
            known = ", ".join(sorted(set(await store.destinations()) - set(configured))) or "none"
            raise PermanentError(
                f"the store knows no destination {request.name!r} that could be forgotten",
                remedy=f"those gone from the configuration are: {known}",
            )
        logger.warning(
            "destination_released",
            destination=released.name,
            waiting=released.waiting,
            dead_letters=released.dead_letters,
        )
        return Forgotten(name=released.name, waiting=released.waiting, dead_letters=released.dead_letters)

    return forget
