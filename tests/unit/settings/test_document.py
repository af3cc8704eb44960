"""Reading the file: what YAML means here, and every way a file can be unreadable."""

import os
from pathlib import Path

import pytest

from mcwatch.domain.errors import ConfigError
from mcwatch.settings.document import read
from tests.unit.settings.files import MINIMAL, problems, write


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("0123", "0123"),
        ("+49", "+49"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-01-05", "2026-01-05"),
        ("1e5", "1e5"),
        ("1.5", 1.5),
        ("~", None),
        ("", None),
        ("null", None),
        ("'null'", "null"),
    ],
)
def test_scalars(tmp_path: Path, written: str, value: object) -> None:
    """Plain scalars follow YAML 1.2; what only looks like a number or a time stays text."""
    assert read(write(tmp_path, f"key: {written}")).data == {"key": value}


def test_lines(tmp_path: Path) -> None:
    """Every key and list entry knows its line, a missing one that of the nearest key above."""
    document = read(write(tmp_path, "a:\n  - x: 1\n    y: 2\n  - 3\nb: {c: 1,\n    d: 2}\n"))
    paths = [("a",), ("a", 0), ("a", 0, "y"), ("a", 1), ("b", "d"), ("b", "missing"), ("nothing",)]
    assert [document.line(path) for path in paths] == [1, 2, 3, 4, 6, 5, 1]


def test_merge_keys(tmp_path: Path) -> None:
    """`<<` brings in keys of other mappings; the mapping's own and the first named win."""
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], a: 0}\n"
    assert read(write(tmp_path, text)).data == {
        "x": {"a": 1, "b": 1},
        "y": {"b": 2, "c": 2},
        "z": {"a": 0, "b": 1, "c": 2},
    }


def test_byte_order_mark(tmp_path: Path) -> None:
    """A file saved with a byte order mark reads like one without."""
    path = tmp_path / "mcwatch.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read(path).data == {"a": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "mcwatch.yaml: the file is empty; config/mcwatch.example.yaml shows what belongs in it"),
        (
            b"# only a comment\n",
            "mcwatch.yaml: the file is empty; config/mcwatch.example.yaml shows what belongs in it",
        ),
        (
            b"- a\n",
            "mcwatch.yaml:1: the file must be a mapping with the keys accounts and destinations, not a list or a value",
        ),
        (
            b"text",
            "mcwatch.yaml:1: the file must be a mapping with the keys accounts and destinations, not a list or a value",
        ),
        (b"a: 1\nb: \xff\n", "mcwatch.yaml:2: not UTF-8 text; save the file as UTF-8"),
        (b"a: 1\nb: \x00\n", "mcwatch.yaml:2: a control character; remove it"),
    ],
)
def test_no_configuration(tmp_path: Path, content: bytes, problem: str) -> None:
    """A file that is no mapping of text is refused in one line that says why."""
    path = tmp_path / "mcwatch.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert [text.replace(f"{tmp_path}/", "") for text in caught.value.problems] == [problem]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a: [1, 2\nb: 3\n", "mcwatch.yaml:2:2: not valid YAML: while parsing a flow sequence; "),
        ("a: 1\n  b: 2\n", "mcwatch.yaml:2:4: not valid YAML: mapping values are not allowed here"),
        ("a: 'hush\n", "mcwatch.yaml:2:1: not valid YAML: while scanning a quoted scalar; "),
        ("a: *nowhere\n", "mcwatch.yaml:1:4: not valid YAML: found undefined alias 'nowhere'"),
        (
            "a: !secret hush\n",
            "mcwatch.yaml:1:4: not valid YAML: could not determine a constructor for the tag '!secret'",
        ),
        ("a: !!int hush\n", "mcwatch.yaml:1:4: not valid YAML: a value that does not fit its tag"),
        ("a: &x [*x]\n", "mcwatch.yaml:1:4: not valid YAML: an alias that contains itself"),
        ("a: 1\n---\nb: 2\n", "mcwatch.yaml:2:1: not valid YAML: expected a single document in the stream; "),
        ("a: {<<: 1}\n", "mcwatch.yaml:1:9: not valid YAML: `<<` takes a mapping"),
    ],
)
def test_syntax_errors(tmp_path: Path, text: str, start: str) -> None:
    """A syntax error names line and column, and quotes nothing of the file."""
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(start)
    assert "hush" not in problem


def test_deep_nesting(tmp_path: Path) -> None:
    """A file nested without end is refused, not a crash."""
    assert problems(tmp_path, "[" * 1000) == ["mcwatch.yaml: nested too deeply to be a configuration"]


def test_duplicate_keys(tmp_path: Path) -> None:
    """A key given twice in one mapping is an error that names both lines."""
    text = MINIMAL + "    start: latest\n    start: earliest\n"
    assert problems(tmp_path, text) == [
        "mcwatch.yaml:11: destinations[0].start: this key is on line 10 already; remove one of the two"
    ]


@pytest.mark.parametrize("key", ["1", "true", "~", "[a]", "{a: b}"])
def test_keys_that_are_no_text(tmp_path: Path, key: str) -> None:
    """A key that is no text is an error of its line."""
    assert problems(tmp_path, f"{MINIMAL}log:\n  ? {key}\n  : x\n") == [
        "mcwatch.yaml:11: log: a key below this one is no text; put it in quotes"
    ]


def test_missing_file(tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(ConfigError, match=r"gone\.yaml: there is no such file; name the right one with --config"):
        read(tmp_path / "gone.yaml")


def test_directory(tmp_path: Path) -> None:
    """A directory is no configuration file."""
    with pytest.raises(ConfigError, match="this is a directory; name the file in it"):
        read(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    """A file that may not be read is named with the reason."""
    path = write(tmp_path, MINIMAL)
    path.chmod(0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied; check its owner and mode"):
        read(path)


def test_no_file_system_object(tmp_path: Path) -> None:
    """Whatever else the system says about a path is passed on."""
    path = write(tmp_path, MINIMAL) / "below-a-file.yaml"
    with pytest.raises(ConfigError, match="cannot be read: Not a directory; check its owner and mode"):
        read(path)
