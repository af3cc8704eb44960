"""Writing values the way an operator writes them in the file."""

_DURATIONS = {"d": 86400, "h": 3600, "m": 60}
_SIZES = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}


def written(value: object, kind: str | None) -> object:
    """Return a value as the file would hold it; ``kind`` is the schema's ``x-kind``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if kind == "duration":
            return duration_text(value)
        if kind == "size":
            return size_text(int(value))
    return value


def duration_text(secs: float) -> str:
    """Write seconds in the largest unit that divides them; one day is ``24h``, as people say it."""
    if secs != int(secs):
        return f"{secs * 1000:g}ms"
    for unit, factor in _DURATIONS.items():
        if secs and secs % factor == 0 and (unit, secs) != ("d", factor):
            return f"{int(secs) // factor}{unit}"
    return f"{int(secs)}s"


def size_text(count: int) -> str:
    """Write bytes in the largest unit that divides them."""
    for unit, factor in _SIZES.items():
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return str(count)
