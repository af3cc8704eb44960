"""Every failure mcwatch knows, sorted by its consequence.

    McwatchError
    ├── ConfigError            stop at start-up, exit 78
    ├── TransientError         the same input may succeed later: retry
    │   └── ThrottledError     ... not before ``retry_after_secs``
    ├── PermanentError         the same input always fails: dead letter
    │   ├── AuthError          stop this component, keep its data, ask the operator
    │   └── MisconfiguredError the other side says that the request can never be meant for it: same consequence
    ├── StoreUnavailable       the store is full, busy or away: pause and retry
    ├── LeaseLost              another replica holds the account: stop what is done for it here
    └── StoreCorrupt           the store cannot be trusted any more: stop the process

Adapters translate library exceptions into these at their edge and keep the original as ``__cause__``. The text of an
error names what was tried and never holds a secret, a header, a body or mail contents.
"""

from enum import StrEnum


class FailureReason(StrEnum):
    """The closed set of reasons used as metric labels and in dead letters."""

    AUTH = "auth"
    THROTTLED = "throttled"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TLS = "tls"
    SERVER = "server"
    BAD_RESPONSE = "bad_response"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    MISCONFIGURED = "misconfigured"
    UNDECODABLE = "undecodable"
    STORE = "store"
    LEASE_LOST = "lease_lost"
    INTERNAL = "internal"


class McwatchError(Exception):
    """Base of all errors mcwatch raises on purpose.

    Args:
        message: one sentence that says what failed, safe to log and to show.
        reason: the label of this failure in metrics, logs and dead letters.
        remedy: what the operator can do; empty when waiting is the remedy.
        detail: the other side's own words. They may quote mail, so they stand in a dead letter and nowhere else.
    """

    default_reason = FailureReason.INTERNAL

    def __init__(
        self, message: str, *, reason: FailureReason | None = None, remedy: str = "", detail: str = ""
    ) -> None:
        super().__init__(message)
        self.reason = reason or self.default_reason
        self.remedy = remedy
        self.detail = detail


class ConfigError(McwatchError):
    """The configuration cannot be used; ``problems`` lists every fault found, one line each."""

    default_reason = FailureReason.MISCONFIGURED

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class TransientError(McwatchError):
    """The same request may succeed later."""

    default_reason = FailureReason.SERVER


class ThrottledError(TransientError):
    """The other side asked to wait ``retry_after_secs`` seconds; None when it named no time."""

    default_reason = FailureReason.THROTTLED

    def __init__(self, message: str, *, retry_after_secs: float | None = None, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_secs = retry_after_secs


class PermanentError(McwatchError):
    """The same input will always fail."""

    default_reason = FailureReason.REFUSED


class AuthError(PermanentError):
    """The credential was refused: the component is down until the operator acts or the other side relents."""

    default_reason = FailureReason.AUTH


class MisconfiguredError(PermanentError):
    """The other side cannot be what the configuration says it is (404, redirect, wrong method, wrong TLS name)."""

    default_reason = FailureReason.MISCONFIGURED


class StoreUnavailable(McwatchError):  # noqa: N818 - the name is the contract's (style guide, part 4.5)
    """The store takes no writes now (disk full, locked, connection lost): nothing was written."""

    default_reason = FailureReason.STORE


class LeaseLost(McwatchError):  # noqa: N818 - a state of affairs, as the store's others
    """Another replica holds the account by now, or may: nothing was written."""

    default_reason = FailureReason.LEASE_LOST


class StoreCorrupt(McwatchError):  # noqa: N818 - as above
    """The store's file cannot be trusted (failed fsync, I/O error, malformed file): stop, change nothing."""

    default_reason = FailureReason.STORE
