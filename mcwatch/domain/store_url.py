"""The URL of a store: what of it can be wrong before anybody is asked.

libpq takes a URI apart without complaint where a password holds characters that mean something in one, and then takes
parts of the password for a host, a port or a database. Those are named in messages; a password must not be.
"""

import re

SQLITE = "sqlite:///"
POSTGRESQL = ("postgresql://", "postgres://")

_BARE = re.compile(r"%(?![0-9A-Fa-f]{2})|\s")
_HOST = re.compile(r"(?:\[[^\]]*\]|[^\[\]:@]*)(?::\d*)?")
_SPELLING = (
    "write postgresql://user:password@host:5432/database; in user and password write @ as %40, / as %2F, : as %3A, "
    "? as %3F, # as %23, % as %25 and a space as %20"
)


def problem_of(url: str) -> str:
    """Return what is wrong with a URL, without any of it, or nothing."""
    if url.startswith(POSTGRESQL):
        return "" if _is_clear(url.partition("://")[2]) else _SPELLING
    path = url.removeprefix(SQLITE)
    if not url.startswith(SQLITE) or not path.strip("/") or path == ":memory:":
        return (
            "write sqlite:///path for a path from the working directory, sqlite:////path for one from the root, or "
            "postgresql://user:password@host/database"
        )
    if "?" in path or "#" in path:
        return "write the path alone: the store takes no options after `?` or `#`"
    return ""


def _is_clear(rest: str) -> bool:
    """Say whether what follows the scheme can be taken apart in one way only."""
    login = re.match(r"[^@/?#]*@", rest)
    place = rest[login.end() if login else 0 :].partition("?")[0]
    hosts, _, database = place.partition("/")
    return (
        not _BARE.search(rest)
        and not any(mark in database for mark in ":@/#")
        and all(_HOST.fullmatch(host) for host in hosts.split(","))
    )
