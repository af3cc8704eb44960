"""A crash before each single operation on the disk, one after the other: nothing accepted is missing afterwards."""

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mcwatch.sinks.file.journal import Journal
from mcwatch.sinks.file.rotation import RotationRules
from tests.contract.sink_events import event

_OPERATIONS = ("open", "write", "fsync", "ftruncate", "replace", "unlink", "mkdir", "utime")
_BATCHES = [event(number) + b"\n" + event(number + 100) + b"\n" for number in range(6)]
_BYTES = len(_BATCHES[0])
_LONG_AGO = (1_700_000_000, 1_700_000_000)


class Crash(BaseException):
    """The process is gone: no handler of errors runs."""


@dataclass
class Disk:
    """Counts the operations and ends the process before the ``last``-th; a write gets half way."""

    last: int | None = None
    done: list[tuple[str, str]] = field(default_factory=list)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch every operation."""
        with pytest.MonkeyPatch.context() as patch:
            for name in _OPERATIONS:
                patch.setattr(os, name, self._watched(name, getattr(os, name)))
            yield

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(target: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as its real one
            if self.last is not None and len(self.done) >= self.last:
                if name == "write":
                    real(target, arguments[0][: len(arguments[0]) // 2])
                raise Crash
            self.done.append((name, _name(target)))
            if name == "fsync":
                return None  # the kernel is there still; syncing for each of so many crashes takes minutes
            return real(target, *arguments, **options)

        return operation


def _name(target: object) -> str:
    if isinstance(target, int):
        return Path(f"/proc/self/fd/{target}").readlink().name
    assert isinstance(target, (str, Path))
    return Path(target).name


@dataclass(frozen=True)
class House:
    """A file and its rules."""

    path: Path
    rules: RotationRules
    ages: bool = False

    def run(self, accepted: int, last: int | None = None) -> tuple[int, Disk]:
        """Append what is not accepted yet, as a process that ends before operation ``last``; return what is then."""
        disk = Disk(last)
        journal = Journal(self.path, self.rules, slice_bytes=1)
        try:
            with disk.watched():
                while accepted < len(_BATCHES):
                    journal.append(_BATCHES[accepted])
                    accepted += 1
                    self._age()
        except Crash:
            _die(journal)
        else:
            journal.close()
        return accepted, disk

    def _age(self) -> None:
        if self.ages:
            os.utime(self.path, _LONG_AGO)

    def lines(self) -> list[bytes]:
        """Return the lines of all files, oldest file first; a compressed one that is not whole raises."""
        found = b""
        for number in range(self.rules.keep, -1, -1):
            plain = self.path if number == 0 else self.path.with_name(f"{self.path.name}.{number}")
            packed = plain.with_name(f"{plain.name}.gz")
            if packed.exists():
                found += gzip.decompress(packed.read_bytes())
            if plain.exists():
                found += plain.read_bytes()
        return found.splitlines(keepends=True)

    def names(self) -> list[str]:
        """Return what is in the directory."""
        return sorted(path.name for path in self.path.parent.iterdir())


def _die(journal: Journal) -> None:
    """Close what the kernel closes when a process ends, and nothing else."""
    journal._release()
    if journal._compression._job is not None:
        journal._compression._job.close()


CASES = {
    "plain": (RotationRules(2 * _BYTES, 20), False),
    "compressed": (RotationRules(2 * _BYTES, 20, compress=True), False),
    "compressed-each": (RotationRules(1, 20, compress=True), False),
    "by-time": (RotationRules(2**20, 20, every_secs=60, compress=True), True),
}


@pytest.mark.parametrize("case", CASES)
def test_whenever_the_process_ends_nothing_accepted_is_missing(tmp_path: Path, case: str) -> None:
    """After a crash before any operation, and another one while it recovers, every line is there, whole, in order."""
    rules, ages = CASES[case]
    _, disk = House(tmp_path / "whole" / "e", rules, ages).run(0)
    expected = b"".join(_BATCHES).splitlines(keepends=True)
    assert len(disk.done) > 2 * len(_BATCHES)
    for last in range(len(disk.done)):
        house = House(tmp_path / f"{last}" / "e", rules, ages)
        accepted, crashed = house.run(0, last)
        assert last == len(crashed.done)
        assert expected[: 2 * accepted] == [
            line for line in dict.fromkeys(house.lines()) if line in expected[: 2 * accepted]
        ]
        accepted, _ = house.run(accepted, last * 7 % 23)
        accepted, _ = house.run(accepted)
        assert len(_BATCHES) == accepted
        assert expected == list(dict.fromkeys(house.lines()))
        assert "e.gz.part" not in house.names()


def test_names_and_contents_are_durable_before_anything_goes(tmp_path: Path) -> None:
    """At a power loss too: the part is synced before it is renamed, its name before the plain form goes."""
    house = House(tmp_path / "out" / "e", RotationRules(1, 20, compress=True))
    _, disk = house.run(0)
    done = disk.done
    [*packed] = [at for at, operation in enumerate(done) if operation == ("replace", "e.gz.part")]
    assert len(_BATCHES) - 1 == len(packed)
    for at in packed:
        assert ("fsync", "e.gz.part") == done[at - 1]
        assert [("open", "out"), ("fsync", "out"), ("unlink", "e.1")] == done[at + 1 : at + 4]


def test_a_batch_is_synced_with_the_name_of_its_file(tmp_path: Path) -> None:
    """A new file's name is durable before the first batch is written, and each batch before it counts."""
    _, disk = House(tmp_path / "out" / "e", RotationRules(2**20, 3)).run(0)
    first = disk.done.index(("write", "e"))
    assert ("fsync", "out") in disk.done[:first]
    assert [("write", "e"), ("fsync", "e")] * len(_BATCHES) == disk.done[first:]
