"""Faults: which request goes wrong, and how; drawn from a seeded generator or put in a script."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, get_args

from mcwatch.simulator.dice import generator, pick

FaultKind = Literal[
    "throttle", "error_html", "empty_body", "reset_before", "reset_body", "stall", "cut_json", "html_ok", "fail_ok",
    "meta_error", "unverified", "token_expired", "binding", "forbidden", "odd_rows", "invalid_utf8", "wrong_types",
    "big_answer",
]  # fmt: skip
FAULT_KINDS: Final[frozenset[str]] = frozenset(get_args(FaultKind))
ROW_FAULTS: Final = frozenset({"odd_rows", "invalid_utf8", "wrong_types", "big_answer"})

_STORM: Final = 4
_SERVER_ERRORS: Final = (500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Fault:
    """One way for requests to go wrong; without account or endpoint it meets any."""

    kind: FaultKind
    times: int = 1
    account: str | None = None
    endpoint: str | None = None
    """`token`, `login`, `queue`, `finder` or `domains`."""
    status: int | None = None
    """HTTP status of error_html, empty_body and meta_error."""
    code: str | None = None
    """Failure code of fail_ok, forbidden and meta_error."""
    after_secs: float | None = None
    """X-RateLimit-Reset of throttle, length of stall."""

    def meets(self, account: str | None, endpoint: str) -> bool:
        """Tell whether the fault is meant for such a request, and can show there."""
        return self.account in {None, account} and self.endpoint in {None, endpoint} and _can_meet(self.kind, endpoint)


Profile = Mapping[FaultKind, float]
"""Probability of each kind, per request."""

_FLAKY: Final[Profile] = {
    "error_html": 0.05, "reset_before": 0.02, "reset_body": 0.02, "stall": 0.005, "cut_json": 0.02, "html_ok": 0.02,
    "fail_ok": 0.02, "empty_body": 0.01, "meta_error": 0.01,
}  # fmt: skip
_THROTTLED: Final[Profile] = {"throttle": 0.05}
_TOKENS: Final[Profile] = {"token_expired": 0.05, "unverified": 0.05}
_BINDING: Final[Profile] = {"binding": 0.1}
_ODD: Final[Profile] = {"odd_rows": 0.1, "invalid_utf8": 0.05, "wrong_types": 0.1, "big_answer": 0.03}
PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        "none": {},
        "throttled": _THROTTLED,
        "flaky": _FLAKY,
        "tokens": _TOKENS,
        "binding": _BINDING,
        "odd": _ODD,
        "chaos": {**_FLAKY, **_THROTTLED, **_TOKENS, **_ODD, "binding": 0.01},
    }
)
_NOT_FOR_LOGINS: Final = ROW_FAULTS | {"token_expired", "unverified", "binding"}
_NOT_FOR_TOKENS: Final = _NOT_FOR_LOGINS | {"fail_ok", "meta_error"}


def _can_meet(kind: FaultKind, endpoint: str) -> bool:
    if endpoint == "token":
        return kind not in _NOT_FOR_TOKENS
    if endpoint == "login":
        return kind not in _NOT_FOR_LOGINS
    return kind not in ROW_FAULTS or endpoint in {"queue", "finder"}


class Faults:
    """Decides for each request whether it goes wrong; scripted faults come before drawn ones."""

    def __init__(self, profile: str, seed: int) -> None:
        self._rng = generator("faults", seed)
        self._script: deque[Fault] = deque()
        self.injected: Counter[str] = Counter()
        """How often each kind has really happened; counted by the server when it does."""
        self.use(profile)

    @property
    def pending(self) -> tuple[Fault, ...]:
        """The scripted faults that have not met a request yet."""
        return tuple(self._script)

    def use(self, profile: str) -> None:
        """Draw from another profile from now on; raises ValueError for an unknown name."""
        if profile not in PROFILES:
            message = f"no fault profile {profile!r}; there are {', '.join(PROFILES)}"
            raise ValueError(message)
        self._profile = PROFILES[profile]

    def script(self, faults: Iterable[Fault]) -> None:
        """Let the next requests that each fault is meant for go wrong, in this order."""
        self._script.extend(faults)

    def clear(self) -> None:
        """Drop what is scripted."""
        self._script.clear()

    def next_for(self, account: str | None, endpoint: str) -> Fault | None:
        """Return the fault for this request; None when it goes well."""
        return self._scripted(account, endpoint) or self._drawn(account, endpoint)

    def _scripted(self, account: str | None, endpoint: str) -> Fault | None:
        for position, fault in enumerate(self._script):
            if fault.meets(account, endpoint):
                if fault.times > 1:
                    self._script[position] = replace(fault, times=fault.times - 1)
                else:
                    del self._script[position]
                return fault
        return None

    def _drawn(self, account: str | None, endpoint: str) -> Fault | None:
        if not self._profile:
            return None
        draw = self._rng.random()
        for kind, probability in self._profile.items():
            draw -= probability
            if draw < 0:
                return self._made(kind, account, endpoint)
        return None

    def _made(self, kind: FaultKind, account: str | None, endpoint: str) -> Fault | None:
        if not _can_meet(kind, endpoint):
            return None
        fault = Fault(kind, status=pick(self._rng, _SERVER_ERRORS))
        if kind == "throttle":
            # A storm: the calls that come right after are refused as well.
            storm = Fault("throttle", _STORM, account, endpoint, after_secs=1.0)
            self._script.append(storm)
            return storm
        return fault
