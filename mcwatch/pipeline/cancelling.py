"""Telling a cancellation that was asked for from one that a library let out."""

import asyncio


def is_cancelled() -> bool:
    """Tell, while a CancelledError is handled, whether somebody has cancelled this task.

    A loop that takes a stray one for its own end would be gone without a word.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
