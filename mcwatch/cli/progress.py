"""How far long work has come, on stderr: a bar on a terminal, else a line whenever a tenth is done."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_TENTHS = 10
_BAR_WIDTH = 12
"""Leaves room on 80 columns for the words beside it, which say more."""


class Meter(Protocol):
    """Where the work says how far it has come."""

    def done(self, what: str) -> None:
        """Say that one more step is done; ``what`` tells in a few words how things stand."""


class _Lines:
    def __init__(self, title: str, steps: int, unit: str) -> None:
        self._title = title
        self._steps = steps
        self._unit = unit
        self._count = 0

    def done(self, what: str) -> None:
        before = self._count * _TENTHS // self._steps
        self._count += 1
        if self._count * _TENTHS // self._steps > before:
            print(f"{self._title}: {self._count} of {self._steps} {self._unit}, {what}", file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, progress: Progress, title: str, steps: int) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=steps, what="waiting for the first answer")

    def done(self, what: str) -> None:
        self._progress.update(self._task, advance=1, what=what)


@contextmanager
def metered(title: str, steps: int, unit: str = "windows") -> Iterator[Meter]:
    """Lend a meter for so many steps."""
    if not sys.stderr.isatty():
        yield _Lines(title, steps, unit)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(_BAR_WIDTH),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress, title, steps)


@contextmanager
def kept_if_stopped(words: str) -> Iterator[None]:
    """Say on stderr what becomes of the work when it is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        note([f"interrupted; {words}"])
        raise


def note(lines: list[str]) -> None:
    """Say on stderr what is to be known about the work."""
    for line in lines:
        print(f"mcwatch: {line}", file=sys.stderr, flush=True)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on a terminal that something goes on, and for how long; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield
