"""When an account as a whole is down."""

from mcwatch.domain.budget import REMEDY
from mcwatch.domain.errors import AuthError
from mcwatch.pipeline.accounts import AccountHealth
from mcwatch.telemetry.health import Component
from tests.unit.pipeline.lab import Lab

_ACME = Component.of_account("acme")


async def test_account_is_down_when_every_source_is(lab: Lab) -> None:
    """One failing source is its own trouble; all of them failing is the account's; one answer brings it up."""
    account = AccountHealth("acme", 2, lab.health, lambda: None)
    assert lab.health.condition(_ACME).up is None
    account.failed("message_finder", AuthError("no"))
    account.failed("message_finder", AuthError("no"))
    assert lab.health.condition(_ACME).up is None
    account.failed("processing_queue", AuthError("no, too", remedy="ask the administrator"))
    assert lab.health.condition(_ACME).up is False
    assert "ask the administrator" == lab.health.condition(_ACME).remedy
    account.succeeded("message_finder")
    assert lab.health.condition(_ACME).up
    account.failed("processing_queue", AuthError("no"))
    assert lab.health.condition(_ACME).up


async def test_an_account_whose_quota_is_too_small_says_so(lab: Lab) -> None:
    """It stays up, with figures and what to change, until the quota suffices again."""
    shortages = ["the quota is too small: needs 132.0, allows 24.5", None]
    account = AccountHealth("acme", 1, lab.health, lambda: shortages.pop(0))
    account.succeeded("message_finder")
    condition = lab.health.condition(_ACME)
    assert (True, "the quota is too small: needs 132.0, allows 24.5", REMEDY) == (
        condition.up,
        condition.reason,
        condition.remedy,
    )
    account.succeeded("message_finder")
    assert "" == lab.health.condition(_ACME).reason
