"""Check every file of the working tree for what no review should have to look for.

TOML that does not parse, private keys, and hosts of package registries: which registry is used is decided where the
project is built, so none may be named here.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

# Written so that the patterns do not match themselves.
_FORBIDDEN = {
    "a package registry's host": re.compile(
        r"py[p]i\.(org|python)|python[h]osted|registry\.[n]pmjs|[p]roxy\.golang|files\.[p]ypi"
    ),
    "a package index option": re.compile(r"^\s*--(extra-)?[i]ndex-url|^\s*--[f]ind-links", re.MULTILINE),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE [K]EY-----"),
}


def problems_of(path: Path) -> list[str]:
    """Return what is wrong with one file, a line each; files that are not text are passed over."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        return []
    problems = []
    for what, pattern in _FORBIDDEN.items():
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            problems.append(f"{path}:{line}: {what} must not be named in the repository")
    if path.suffix == ".toml":
        try:
            tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            problems.append(f"{path}: not TOML: {error}")
    return problems


def main() -> int:
    """Check what git knows or would add; return the exit status."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    paths = [Path(line) for line in listing.stdout.splitlines()]
    problems = [problem for path in paths if path.is_file() for problem in problems_of(path)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
