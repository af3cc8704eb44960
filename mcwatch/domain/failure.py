"""Failures as JSON: what a command is told, and how an error gets from one process to another."""

import msgspec

from mcwatch.domain.errors import (
    AuthError,
    ConfigError,
    FailureReason,
    LeaseLost,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    StoreCorrupt,
    StoreUnavailable,
    ThrottledError,
    TransientError,
)

_KINDS = {
    kind.__name__: kind
    for kind in (
        McwatchError, TransientError, PermanentError, AuthError, MisconfiguredError, StoreUnavailable, LeaseLost,
        StoreCorrupt,
    )
}  # fmt: skip


class Failure(msgspec.Struct, frozen=True):
    """What failed, its reason from the closed set, what to do."""

    error: str
    reason: str = ""
    remedy: str = ""


class SentFailure(Failure, frozen=True, omit_defaults=True):
    """An error of the tree on its way to another process; the other side's own words (``detail``) stay behind."""

    kind: str = ""
    retry_after_secs: float | None = None

    @classmethod
    def of(cls, error: McwatchError) -> "SentFailure":
        """Take an error apart; one of a class that only a component knows travels as the class it derives from."""
        known = {*_KINDS, ConfigError.__name__, ThrottledError.__name__}
        kind = next(one.__name__ for one in type(error).__mro__ if one.__name__ in known)
        wait_secs = error.retry_after_secs if isinstance(error, ThrottledError) else None
        return cls(str(error), error.reason, error.remedy, kind, wait_secs)

    def raised(self) -> McwatchError:
        """Put it together again; of a class that is not known here, as of another version, PermanentError."""
        if self.kind == ConfigError.__name__:
            return ConfigError(self.error.splitlines())
        if self.kind == ThrottledError.__name__:
            return ThrottledError(self.error, retry_after_secs=self.retry_after_secs, remedy=self.remedy)
        reason = FailureReason(self.reason) if self.reason in set(FailureReason) else None
        return _KINDS.get(self.kind, PermanentError)(self.error, reason=reason, remedy=self.remedy)
