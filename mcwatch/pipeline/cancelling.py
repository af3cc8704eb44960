"""How tasks end: cancelled on request or by a stray library, the first of two, with the errors of a group."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def is_cancelled() -> bool:
    """Tell, while a CancelledError is handled, whether somebody has cancelled this task.

    A loop that takes a stray one for its own end would be gone without a word.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Return the errors inside a group, however deep."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


async def either(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, Any]) -> T | None:
    """Wait for whichever ends sooner; return what the first one returned, None when it did not end."""
    async with asyncio.TaskGroup() as group:
        waits = (group.create_task(first), group.create_task(second))
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    return None if waits[0].cancelled() else waits[0].result()
