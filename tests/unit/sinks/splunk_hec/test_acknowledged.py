"""The state machine of indexer acknowledgement, against a strict HEC that forgets what it has told."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from uuid import UUID

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from mcwatch.domain.delivery import ALL_ACCEPTED, Batch, Verdicts
from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    ThrottledError,
    TransientError,
)
from mcwatch.interfaces import Sink
from tests.contract.sink_events import batch_of, event, numbered
from tests.fakes.hec import TOKEN, Hec, said
from tests.unit.sinks.splunk_hec.conftest import Configure

_CHANNEL = UUID("99999999-8888-7777-6666-555555555555")


async def _handed_over(sink: Sink, batch: Batch) -> bytes:
    verdicts = await sink.deliver(batch)
    assert verdicts.receipt is not None
    assert Verdicts(receipt=verdicts.receipt) == verdicts
    return verdicts.receipt


async def _confirmed(sink: Sink, *receipts: bytes) -> Collection[bytes]:
    assert sink.acknowledgements
    return await sink.acknowledgements.confirmed(receipts)


def _numbers(hec: Hec) -> list[int]:
    return [int(one["event_id"], 16) for one in hec.events]


async def test_a_yes_is_a_receipt_that_is_confirmed_once_indexed(hec: Hec, configure: Configure) -> None:
    """The indexer may be late; what is not yet true is asked for again."""
    hec.is_slow = True
    async with configure().build(_CHANNEL) as sink:
        receipts = [await _handed_over(sink, numbered(2, start=start)) for start in (0, 2)]
        assert [] == await _confirmed(sink, *receipts)
        hec.index()
        assert set(receipts) == set(await _confirmed(sink, *receipts))
    channels = [request.headers["X-Splunk-Request-Channel"] for request in hec.posts()]
    assert [(channel, [0]) for channel in channels] * 2 == hec.indexers[0].asked[1:]  # the first was the probe
    assert channels * 2 == [request.query["channel"] for request in hec.posts("/ack")[1:]]


async def test_nothing_to_send_needs_no_receipt(hec: Hec, configure: Configure) -> None:
    """And no request; nor does nothing to ask for."""
    async with configure().build() as sink:
        assert ALL_ACCEPTED == await sink.deliver(Batch((), ()))
        assert [] == await _confirmed(sink)
    assert [] == hec.requests


async def test_a_lost_answer_stays_unconfirmed(hec: Hec, configure: Configure) -> None:
    """Splunk has forgotten what it told: the time-out repeats the events, there is no other way."""
    async with configure().build() as sink:
        receipt = await _handed_over(sink, numbered(1))
        hec.losing = 1
        with suppress(TransientError):  # or it was asked once more, in vain
            assert [] == await _confirmed(sink, receipt)
        assert [] == await _confirmed(sink, receipt)
        again = await _handed_over(sink, numbered(1))
        assert [again] == await _confirmed(sink, receipt, again)


async def test_a_later_process_confirms_the_receipts_of_an_earlier_one(hec: Hec, configure: Configure) -> None:
    """A receipt holds all that is needed to ask for it."""
    hec.is_slow = True
    async with configure().build(_CHANNEL) as sink:
        receipt = await _handed_over(sink, numbered(1))
    hec.index()
    async with configure().build(_CHANNEL) as sink:
        later = await _handed_over(sink, numbered(1, start=1))
        assert [receipt] == await _confirmed(sink, receipt, later)
        hec.index()
        assert [later] == await _confirmed(sink, later)


async def test_a_crashed_indexer_confirms_nothing_that_it_lost(hec: Hec, configure: Configure) -> None:
    """Its count begins anew: the numbers it gives now must not confirm what they stood for before."""
    hec.is_slow = True
    async with configure().build(_CHANNEL) as sink:
        lost = [await _handed_over(sink, numbered(1, start=start)) for start in range(3)]
        hec.crash()
        kept = [await _handed_over(sink, numbered(1, start=start)) for start in range(3, 8)]
        hec.index()
        confirmed = await _confirmed(sink, *lost, *kept)
    assert set(kept) == set(confirmed)


async def test_a_crash_of_both_sides_confirms_nothing_that_is_lost(hec: Hec, configure: Configure) -> None:
    """The new process is given the same numbers, before it asks for the first time."""
    hec.is_slow = True
    async with configure().build(_CHANNEL) as sink:
        lost = [await _handed_over(sink, numbered(1, start=start)) for start in range(3)]
    hec.crash()
    async with configure().build(_CHANNEL) as sink:
        kept = [await _handed_over(sink, numbered(1, start=start)) for start in range(3, 8)]
        hec.index()
        confirmed = await _confirmed(sink, *lost, *kept)
    assert set(kept) == set(confirmed)


async def test_an_answer_lost_after_a_crash_does_not_confirm_what_was_lost(hec: Hec, configure: Configure) -> None:
    """The numbers that nobody heard of were given on a channel that nobody waits for."""
    hec.is_slow = True
    async with configure().build(_CHANNEL) as sink:
        lost = await _handed_over(sink, numbered(1))
        hec.crash()
        hec.losing = 2  # the first is repeated at once, for its connection was an old one
        with pytest.raises(TransientError):
            await sink.deliver(numbered(1, start=1))
        hec.index()
        assert [] == await _confirmed(sink, lost)
    assert {1} == set(_numbers(hec))


async def test_an_idle_channel_that_splunk_forgot_goes_on(hec: Hec, configure: Configure) -> None:
    """After ten quiet minutes the count begins anew; nobody waits, so it means nothing."""
    async with configure().build(_CHANNEL) as sink:
        for number in range(3):
            receipt = await _handed_over(sink, numbered(1, start=number))
            assert [receipt] == await _confirmed(sink, receipt)
            hec.indexers[0].idle()
    assert [0, 1, 2] == _numbers(hec)


async def test_cookies_lead_back_to_the_indexer_that_took_it(configure: Configure) -> None:
    """Each receipt is asked for with the cookies of its own request, also by a later process."""
    async with Hec(indexers=3, is_sticky=True) as hec:
        hec.is_slow = True
        async with configure(url=hec.url).build(_CHANNEL) as sink, asyncio.TaskGroup() as group:
            await sink.check()
            tasks = [group.create_task(_handed_over(sink, numbered(1, start=start))) for start in range(6)]
        receipts = [task.result() for task in tasks]
        hec.index()
        async with configure(url=hec.url).build(_CHANNEL) as sink:
            assert set(receipts) == set(await _confirmed(sink, *receipts))
    assert len({request.cookies.get("SRV") for request in hec.posts("/ack")}) > 2


async def test_a_load_balancer_without_sessions_confirms_nothing_wrong(configure: Configure) -> None:
    """Both indexers give the same number, each on a channel of its own: whoever is asked wrongly knows nothing."""
    async with Hec(indexers=2) as hec, configure(url=hec.url).build(_CHANNEL) as sink:
        hec.is_slow = True
        receipts = [await _handed_over(sink, numbered(1, start=start)) for start in range(2)]
        hec.indexers[0].index()
        found = [receipt for _ in range(4) for receipt in await _confirmed(sink, *receipts)]
    assert 1 == len(found)
    assert 1 == len(hec.indexed)


async def test_receipts_are_asked_for_where_they_were_given(hec: Hec, configure: Configure) -> None:
    """After a failover each server confirms its own; one that is gone does not keep the other's yes back."""
    async with Hec() as other, configure(url=[hec.url, other.url]).build() as sink:
        first = await _handed_over(sink, numbered(1))
        await hec.stop()
        second = await _handed_over(sink, numbered(1, start=1))
        with capture_logs() as logs:
            assert [second] == await _confirmed(sink, first, second)
            assert [] == await _confirmed(sink, first)
        await hec.start()
        assert [first] == await _confirmed(sink, first)
        assert [1] == _numbers(other)
    assert ["acknowledgements_unanswered"] == [entry["event"] for entry in logs]


async def test_a_server_that_is_gone_for_good_stops_nothing(hec: Hec, configure: Configure) -> None:
    """All that waits there runs into its time-out and goes to the other one; with both gone nothing can be said."""
    async with Hec() as other, configure(url=[hec.url, other.url]).build() as sink:
        receipt = await _handed_over(sink, numbered(1))
        await hec.stop()
        assert [] == await _confirmed(sink, receipt)
        await other.stop()
        with pytest.raises(TransientError):
            await _confirmed(sink, receipt)


async def test_a_server_that_refuses_is_told_of(hec: Hec, configure: Configure) -> None:
    """It is no passing trouble, whatever the other one answers; what that one confirmed comes first."""
    async with Hec() as other, configure(url=[hec.url, other.url]).build() as sink:
        first = await _handed_over(sink, numbered(1))
        hec.answers.append(web.Response(status=503))
        with pytest.raises(TransientError):
            await sink.deliver(numbered(1, start=1))
        second = await _handed_over(sink, numbered(1, start=1))
        hec.tokens = {}
        assert [second] == await _confirmed(sink, first, second)
        with pytest.raises(AuthError):
            await _confirmed(sink, first)


async def test_a_receipt_of_a_url_no_longer_configured_is_never_confirmed(hec: Hec, configure: Configure) -> None:
    """The token is sent nowhere else; its time-out repeats the events."""
    async with configure().build() as sink:
        receipt = await _handed_over(sink, numbered(1))
    async with Hec() as other, configure(url=other.url).build() as sink:
        assert [] == await _confirmed(sink, receipt, b"not a receipt")
        assert [] == other.requests


async def test_acknowledgement_that_is_off_is_found_out_before_an_event_is_sent(hec: Hec, configure: Configure) -> None:
    """Splunk would index the events at every attempt, and never say so."""
    hec.tokens[TOKEN].has_ack = False
    async with configure().build() as sink:
        for _ in range(2):
            with pytest.raises(MisconfiguredError, match="14") as failure:
                await sink.deliver(numbered(1))
            assert "ack: false" in failure.value.remedy
    assert [] == hec.indexed


async def test_acknowledgement_turned_off_mid_stream_repeats_the_events_once(hec: Hec, configure: Configure) -> None:
    """A yes without a number is no yes; after it, it is asked first."""
    async with configure().build() as sink:
        waiting = await _handed_over(sink, numbered(1))
        hec.tokens[TOKEN].has_ack = False
        for _ in range(3):
            with pytest.raises(MisconfiguredError):
                await sink.deliver(numbered(1, start=1))
        with pytest.raises(MisconfiguredError, match="14"):
            await _confirmed(sink, waiting)
        hec.tokens[TOKEN].has_ack = True
        assert [waiting] == await _confirmed(sink, waiting)
        await _handed_over(sink, numbered(1, start=1))
    assert [0, 1, 1] == _numbers(hec)


@pytest.mark.parametrize("ack_id", ["0", -1, None, True])
async def test_a_number_that_is_none_is_no_receipt(hec: Hec, configure: Configure, ack_id: object) -> None:
    """Nothing could be asked for."""
    async with configure().build() as sink:
        hec.answers += [None, said(0, ack_id=ack_id)]
        with pytest.raises(MisconfiguredError):
            await sink.deliver(numbered(1))


async def test_a_channel_header_taken_away_on_the_road_is_named(hec: Hec, configure: Configure) -> None:
    """Code 10, and 28 on Splunk Cloud."""
    for code in (10, 28):
        async with configure().build() as sink:
            hec.answers += [None, said(code)]
            with pytest.raises(MisconfiguredError) as failure:
                await sink.deliver(numbered(1))
        assert "X-Splunk-Request-Channel" in failure.value.remedy


@pytest.mark.parametrize("bad_at", [1, 3])
async def test_all_but_a_bad_event_go_again(hec: Hec, configure: Configure, bad_at: int) -> None:
    """What came before it is indexed, but no number came that anybody could ask for."""
    payloads = [b" " if number == bad_at else b"text" for number in range(4)]
    async with configure().build() as sink:
        verdicts = await sink.deliver(Batch(numbered(4).native, payloads, "text/plain"))
    assert [bad_at] == list(verdicts.refused)
    assert frozenset(range(4)) - {bad_at} == verdicts.retry
    assert verdicts.receipt is None


async def test_a_full_queue_has_taken_nothing_that_counts(hec: Hec, configure: Configure) -> None:
    """Part is indexed, and all goes again."""
    hec.room = 2
    async with configure().build() as sink:
        with pytest.raises(ThrottledError):
            await sink.deliver(numbered(5))
        hec.room = None
        receipt = await _handed_over(sink, numbered(5))
        assert [receipt] == await _confirmed(sink, receipt)
    assert [0, 1, 0, 1, 2, 3, 4] == _numbers(hec)


async def test_a_wrong_index_in_the_middle_repeats_what_comes_before_once(hec: Hec, configure: Configure) -> None:
    """It is sent again for its number; from then on the rest alone shows what is wrong."""
    hec.tokens[TOKEN].indexes = {"mail"}
    globex = event(2).replace(b'"acme"', b'"globex"')
    batch = batch_of(event(0), event(1), globex, event(3))
    async with configure(index="mail", indexes={"globex": "typo"}).build() as sink:
        verdicts = await sink.deliver(batch)
        assert verdicts.receipt is not None
        assert ({}, frozenset({2, 3})) == (verdicts.refused, verdicts.retry)
        assert [verdicts.receipt] == await _confirmed(sink, verdicts.receipt)
        for _ in range(2):
            with pytest.raises(MisconfiguredError):
                await sink.deliver(batch.slice(2, 4))
    assert [0, 1, 0, 1] == _numbers(hec)


async def test_a_channel_at_its_limit_is_left(hec: Hec, configure: Configure) -> None:
    """Code 27 would come for ever."""
    async with configure().build(_CHANNEL) as sink:
        hec.answers += [None, said(27)]
        with pytest.raises(ThrottledError):
            await sink.deliver(numbered(1))
        await _handed_over(sink, numbered(1))
    full, other = [request.headers["X-Splunk-Request-Channel"] for request in hec.posts()]
    assert full != other


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (said(4), AuthError),
        (said(1), AuthError),
        (said(14), MisconfiguredError),
        (said(10), MisconfiguredError),
        (said(6), MisconfiguredError),
        (web.Response(status=400, text="?"), MisconfiguredError),
        (web.Response(status=404), MisconfiguredError),
        (web.Response(status=200, text="<html>hello</html>"), MisconfiguredError),
        (web.json_response({"acks": [True]}), MisconfiguredError),
        (web.Response(status=200, text='{"acks":{"0":tr'), TransientError),
        (web.Response(status=503, text="<html/>"), TransientError),
        (said(9), ThrottledError),
    ],
)
async def test_an_answer_that_tells_nothing_confirms_nothing(
    hec: Hec, configure: Configure, answer: web.Response, kind: type[McwatchError]
) -> None:
    """And is never an event's fault."""
    async with configure().build() as sink:
        receipt = await _handed_over(sink, numbered(1))
        hec.answers.append(answer)
        with pytest.raises(kind) as failure:
            await _confirmed(sink, receipt)
        assert failure.type is kind
        assert [receipt] == await _confirmed(sink, receipt)


@pytest.mark.parametrize("told", ["true", 1, "yes", None, [], {}])
async def test_only_true_is_true(hec: Hec, configure: Configure, told: object) -> None:
    """Unknown numbers and odd values are not confirmed."""
    async with configure().build() as sink:
        receipt = await _handed_over(sink, numbered(1))
        hec.answers += [web.json_response({"acks": {"0": told}}), web.json_response({"acks": {"7": True}})]
        assert [] == await _confirmed(sink, receipt)
        assert [] == await _confirmed(sink, receipt)


async def test_a_channel_carries_one_batch_until_it_is_confirmed(hec: Hec, configure: Configure) -> None:
    """Then it is used again, so that Splunk holds no more channels than batches wait."""
    hec.is_slow = True
    async with configure().build(_CHANNEL) as sink:
        for start in range(0, 9, 3):
            receipts = [await _handed_over(sink, numbered(1, start=start + step)) for step in range(3)]
            hec.index()
            assert set(receipts) == set(await _confirmed(sink, *receipts))
    channels = [request.headers["X-Splunk-Request-Channel"] for request in hec.posts()]
    assert 3 == len(set(channels)) == len(set(channels[:3])) == len(set(channels[3:6]))
    assert all(UUID(channel) for channel in channels)


async def test_a_channel_whose_request_failed_is_not_used_again(hec: Hec, configure: Configure) -> None:
    """A number may have been given on it that nobody heard of; Splunk's own no gives none."""
    async with configure().build(_CHANNEL) as sink:
        hec.answers += [None, said(9), web.Response(status=504)]
        for _ in range(2):
            with pytest.raises(TransientError):
                await sink.deliver(numbered(1))
        await _handed_over(sink, numbered(1))
    busy, failed, last = [request.headers["X-Splunk-Request-Channel"] for request in hec.posts()]
    assert busy == failed != last


async def test_cancelling_leaves_the_channel(hec: Hec, configure: Configure) -> None:
    """The request may have been taken."""
    async with configure().build(_CHANNEL) as sink:
        await sink.check()
        hec.answering.clear()
        hec.engaged.clear()
        async with asyncio.TaskGroup() as group:
            delivery = group.create_task(sink.deliver(numbered(1)))
            await hec.engaged.wait()
            delivery.cancel()
        hec.answering.set()
        await _handed_over(sink, numbered(1))
    channels = [request.headers["X-Splunk-Request-Channel"] for request in hec.posts()]
    assert len(channels) == len(set(channels))


async def test_check_proves_that_acknowledgement_is_on(hec: Hec, configure: Configure) -> None:
    """Without taking an answer away from a receipt: it asks on a channel of its own."""
    async with configure().build(_CHANNEL) as sink:
        receipt = await _handed_over(sink, numbered(1))
        assert f"{hec.url}: healthy, token accepted; indexer acknowledgement is on" == await sink.check()
        assert [receipt] == await _confirmed(sink, receipt)
        hec.tokens[TOKEN].has_ack = False
        with pytest.raises(MisconfiguredError, match="14"):
            await sink.check()


async def test_a_short_time_out_is_warned_of(configure: Configure) -> None:
    """At the start and by check; five minutes are silent."""
    for timeout, warned in (("4m59s", True), ("5m", False)):
        with capture_logs() as logs:
            async with configure(ack_timeout=timeout).build() as sink:
                words = await sink.check()
        assert warned is ("ack_timeout" in words)
        assert warned is any(entry["event"] == "ack_timeout_short" for entry in logs)


async def test_errors_quote_splunk_only_in_their_detail(hec: Hec, configure: Configure) -> None:
    """Its words may quote what was sent."""
    async with configure().build() as sink:
        hec.answers += [None, web.json_response({"text": "secret amy@corp.example", "code": 7}, status=400)]
        with pytest.raises(MisconfiguredError) as failure:
            await sink.deliver(numbered(1))
    assert "amy" not in f"{failure.value} {failure.value.remedy} {failure.value!r}"
    assert "amy" in failure.value.detail
    assert FailureReason.MISCONFIGURED is failure.value.reason
