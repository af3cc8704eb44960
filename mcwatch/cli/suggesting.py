"""Did you mean: the nearest of what there is."""

import difflib
from collections.abc import Iterable

_MOST_NAMED = 20


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return the nearest name as a question, else all of them, of many the first."""
    names = sorted(map(str, known))
    near = difflib.get_close_matches(given.lower(), names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    further = len(names) - _MOST_NAMED
    return f"there are {', '.join(names[:_MOST_NAMED])}{f' and {further:,} more' if further > 0 else ''}"
