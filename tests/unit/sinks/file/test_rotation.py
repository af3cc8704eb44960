"""Renaming full files."""

from pathlib import Path

import pytest

from mcwatch.sinks.file.rotation import make_directory, rotate


def _content(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"e": "0"}, {"e.1": "0"}),
        ({"e": "0", "e.1": "1"}, {"e.1": "0", "e.2": "1"}),
        ({"e": "0", "e.1": "1", "e.2": "2", "e.3": "3"}, {"e.1": "0", "e.2": "1", "e.3": "2"}),
        ({"e": "0", "e.2": "2", "e.3": "3"}, {"e.1": "0", "e.2": "2", "e.3": "3"}),
        ({"e": "0", "e.1": "1", "e.3": "3"}, {"e.1": "0", "e.2": "1", "e.3": "3"}),
        ({"e": "0", "e.1": "1", "e.2.gz": "2"}, {"e.1": "0", "e.2": "1", "e.3.gz": "2"}),
        ({"e": "0", "e.1.gz": "1", "e.2": "2", "e.3.gz": "3"}, {"e.1": "0", "e.2.gz": "1", "e.3": "2"}),
        ({"e": "0", "e.1": "1", "e.1.gz": "1", "e.2.gz": "2"}, {"e.1": "0", "e.2": "1", "e.2.gz": "1", "e.3.gz": "2"}),
        (
            {"e": "0", "e.1.gz": "1", "e.2.gz": "2", "e.3": "3", "e.3.gz": "3"},
            {"e.1": "0", "e.2.gz": "1", "e.3.gz": "2"},
        ),
        ({"e": "0", "e.2.gz": "2", "e.3.gz": "3"}, {"e.1": "0", "e.2.gz": "2", "e.3.gz": "3"}),
        ({"e": "0", "e.4": "4", "e.gz": "x"}, {"e.1": "0", "e.4": "4", "e.gz": "x"}),
    ],
    ids=[
        *("first", "second", "full", "gap-at-1", "gap-at-2"),
        *("mixed", "mixed-full", "both-forms", "both-forms-full", "gap-before-compressed", "foreign"),
    ],
)
def test_files_move_up_by_one(tmp_path: Path, before: dict[str, str], after: dict[str, str]) -> None:
    """The newest is .1, only the one beyond ``keep`` is lost, and a gap is filled before anything is lost."""
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    rotate(tmp_path / "e", keep=3)
    assert _content(tmp_path) == after


def test_directories_are_made_with_their_parents(tmp_path: Path) -> None:
    """Missing directories appear, closed to others; existing ones are left as they are."""
    make_directory(tmp_path / "a" / "b")
    make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o007 == 0
