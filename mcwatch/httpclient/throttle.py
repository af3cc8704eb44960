"""What ``Retry-After`` asks for."""

import re
from datetime import datetime

from mcwatch.httpclient.dates import parse_http_date

MAX_RETRY_AFTER_SECS = 3600.0
_SECONDS = re.compile(r"\d{1,18}(?:\.\d{1,9})?", re.ASCII)


def retry_after_secs(value: str | None, now: datetime | None) -> float | None:
    """Return the seconds to wait, within an hour, or None when the header is absent or makes no sense.

    Both forms of RFC 9110 section 10.2.3 are read: seconds (a fraction, which some gateways send, is accepted) and a
    date, which is taken relative to ``now``, the clock of whoever wrote the header. Without ``now`` a date says
    nothing.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER_SECS)
    moment = parse_http_date(text)
    if moment is None or now is None:
        return None
    return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER_SECS)
