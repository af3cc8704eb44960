"""Files stay small enough to be read at a sitting."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
CEILING = 500


def test_file_sizes() -> None:
    """No Python file of the project has more than 500 lines."""
    files = [path for part in ("mcwatch", "tests", "scripts") for path in (ROOT / part).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in files}
    assert {path: lines for path, lines in lengths.items() if lines > CEILING} == {}
