"""Cookies of load balancers, by which the same indexer is found again.

Not a jar for all requests: numbers to be acknowledged are known to one indexer only, so each is asked for with the
cookies its request had, whatever later requests were given.
"""

from collections.abc import Mapping

_LONGEST = 4096
"""Characters kept of all cookies together: they are stored with every receipt."""


def kept(sent: str, headers: Mapping[str, str]) -> str:
    """Return the Cookie header for what follows a request that had the cookies ``sent`` and was answered so.

    Attributes are passed over, for all requests have one origin; a cookie that comes empty or with ``Max-Age=0`` is
    given up.
    """
    set_cookies = [value for name, value in headers.items() if name.lower() == "set-cookie"]
    if not set_cookies:
        return sent
    jar = dict(_pair(cookie) for cookie in sent.split("; ") if cookie)
    for text in set_cookies:
        pair, _, attributes = text.partition(";")
        name, value = _pair(pair)
        gone = "max-age=0" in attributes.lower().replace(" ", "").split(";")
        if not value or gone:
            jar.pop(name, None)
        elif name and (name + value).isprintable():
            jar[name] = value
    joined = "; ".join(f"{name}={value}" for name, value in jar.items())
    return joined if len(joined) <= _LONGEST else ""


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip()
