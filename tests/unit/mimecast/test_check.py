"""Trying an account without recording anything."""

from mcwatch.mimecast.check import check_account
from mcwatch.mimecast.endpoints import Endpoint
from tests.unit.mimecast.api import HMAC, OAUTH2, Reply, scripted

BOTH = (Endpoint.PROCESSING_QUEUE, Endpoint.MESSAGE_FINDER)


async def test_a_good_account() -> None:
    """Each endpoint is called once, for one row of the last minute as known then; quota and skew are reported."""
    async with scripted(OAUTH2) as (api, client):
        api.server_ahead_secs = 60.0
        api.replies = [Reply(headers={"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "49"})]
        result = await check_account(client, BOTH)
    assert (True, [(True, "reachable, permitted", "")] * 2) == (
        result.ok,
        [(check.ok, check.detail, check.remedy) for check in result.endpoints],
    )
    assert [(50, 49), (None, None)] == [(check.quota.limit, check.quota.remaining) for check in result.endpoints]
    assert result.skew_secs is not None
    assert round(result.skew_secs) in {60, 61}
    queue, finder = (asked.json for asked in api.asked[1:])
    ours = {"start": "2026-01-05T09:29:00+0000", "end": "2026-01-05T09:30:00+0000"}
    servers = {"start": "2026-01-05T09:30:00+0000", "end": "2026-01-05T09:31:00+0000"}
    paging = {"meta": {"pagination": {"pageSize": 1}}}
    assert {**paging, "data": [{**ours, "type": "processing"}]} == queue
    assert {**paging, "data": [{**servers, "searchReason": "mcwatch check"}]} == finder


async def test_each_endpoint_is_judged_alone() -> None:
    """A missing right on one endpoint does not hide that the other works."""
    async with scripted(HMAC) as (api, client):
        api.replies = [Reply(403, {"fail": [{"code": "app_forbidden"}]})]
        result = await check_account(client, BOTH)
    assert [False, True] == [check.ok for check in result.endpoints]
    assert "role right" in result.endpoints[0].remedy
    assert not result.ok


async def test_a_wanted_filter_is_told_as_that() -> None:
    """A finder that wants a filter is reachable; the remedy names domains."""
    async with scripted(HMAC) as (api, client):
        api.replies = [Reply(400, {"fail": [{"code": "err_validation_at_least_one_not_null"}]})]
        result = await check_account(client, [Endpoint.MESSAGE_FINDER])
    (check,) = result.endpoints
    assert check.detail.startswith("reachable, permitted, but ")
    assert "domains" in check.remedy


async def test_the_caller_can_bring_the_request() -> None:
    """A configured search is tried as it is."""
    item = {"advancedTrackAndTraceOptions": {"from": "corp.example"}}
    async with scripted(HMAC) as (api, client):
        await check_account(client, [(Endpoint.MESSAGE_FINDER, item)])
    assert {"meta": {"pagination": {"pageSize": 1}}, "data": [item]} == api.asked[0].json
