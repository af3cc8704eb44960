"""Did you mean: the nearest of what there is."""

import difflib
from collections.abc import Iterable


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return the nearest name as a question, else all of them."""
    names = sorted(map(str, known))
    near = difflib.get_close_matches(given.lower(), names, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
