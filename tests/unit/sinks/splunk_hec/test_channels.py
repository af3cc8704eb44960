"""Channels and receipts."""

from uuid import UUID

from mcwatch.sinks.splunk_hec.channels import Channels, receipt_of

_BASE = UUID("11111111-2222-3333-4444-555555555555")
_URL = "https://s:8088"


def test_no_two_batches_have_one_channel() -> None:
    """Not in one process, and not in a later one."""
    first, second = Channels(_BASE, "a"), Channels(_BASE, "b")
    ids = [channels.take().id for channels in (first, second) for _ in range(50)] + [first.spare, second.spare]
    assert 102 == len(set(ids))
    assert all(UUID(one) for one in ids)


def test_a_channel_is_free_again_once_its_batch_is_confirmed() -> None:
    """Or once it is certain that it carries none."""
    channels = Channels(_BASE, "a")
    used = channels.take()
    receipt = receipt_of(channels.receipt(used, _URL, 0, ""))
    assert receipt
    assert used.id != channels.take().id
    channels.confirmed(receipt)
    again = channels.take()
    assert used.id == again.id
    channels.give_back(again)
    assert used.id == channels.take().id


def test_a_confirmation_frees_a_channel_once() -> None:
    """What is told twice, or for another batch, must not put two batches on one channel."""
    channels = Channels(_BASE, "a")
    first = receipt_of(channels.receipt(channels.take(), _URL, 0, ""))
    assert first
    channels.confirmed(first)
    again = channels.take()
    channels.receipt(again, _URL, 0, "")
    channels.confirmed(first)
    assert again.id != channels.take().id


def test_another_process_s_channels_are_left_alone() -> None:
    """They stay as they are until Splunk forgets them."""
    other = receipt_of(Channels(_BASE, "a").receipt(Channels(_BASE, "a").take(), _URL, 0, ""))
    channels = Channels(_BASE, "b")
    assert other
    channels.confirmed(other)
    assert other.channel != channels.take().id


def test_receipts_are_unique_and_hold_all_it_takes() -> None:
    """The same number on the same channel, later, is another receipt."""
    channels = Channels(_BASE, "a")
    encoded = []
    for _ in range(2):
        encoded.append(channels.receipt(channels.take(), _URL, 0, "SRV=1"))
        receipt = receipt_of(encoded[-1])
        assert receipt
        assert (_URL, 0, "SRV=1") == (receipt.url, receipt.ack_id, receipt.cookie)
        channels.confirmed(receipt)
    assert encoded[0] != encoded[1]


def test_what_was_given_up_is_forgotten_in_the_end() -> None:
    """An indexer that never acknowledges must not fill the memory."""
    channels = Channels(_BASE, "a")
    for _ in range(10_100):
        channels.receipt(channels.take(), _URL, 0, "")
    assert 10_000 == len(channels._waiting)


def test_receipts_nobody_can_read_are_none() -> None:
    """A later version may write others."""
    assert [None] * 4 == [receipt_of(encoded) for encoded in (b"", b"{}", b'["a"]', b"\xff")]
