"""The frames of RELP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcwatch.sinks.syslog.relp_frames import Frame, FrameReader, NotRelpError, Reply, frame, next_txnr

_FRAMES = st.builds(
    Frame, st.integers(0, 999_999_999), st.text("abcxyzABC", min_size=1, max_size=32).map(str.encode), st.binary()
)


@given(st.lists(_FRAMES), st.lists(st.integers(1, 40), min_size=1))
def test_frames_come_back_however_they_are_cut(frames: list[Frame], sizes: list[int]) -> None:
    """A stream in pieces of any size gives the frames that went into it."""
    stream = b"".join(frame(one.txnr, one.command, one.data) for one in frames)
    reader, found, turn = FrameReader(), list[Frame](), 0
    while stream:
        size = sizes[turn % len(sizes)]
        found += reader.feed(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert found == frames


@pytest.mark.parametrize(
    "stream",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b" 1 rsp 0\n",
        b"1234567890 rsp 0\n",
        b"1 r$p 0\n",
        b"1 rsp 6  200 OK\n",
        b"1 rsp 6 200 OKx",
        b"1 rsp 0 \n",
        b"1 rsp 131073 ",
        b"1 " + b"r" * 40,
        b"1 rsp 1234567890",
        b"<134>1 2026-01-05T09:29:02Z host app - - - text\n",
    ],
)
def test_what_is_no_frame_is_told_from_one_that_is_not_all_there(stream: bytes) -> None:
    """Other protocols and broken frames are noticed at once, not waited for."""
    with pytest.raises(NotRelpError):
        FrameReader().feed(stream)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"200 OK", Reply(200, "OK")),
        (b"200 OK\nrelp_version=0\ncommands=syslog", Reply(200, "OK", b"relp_version=0\ncommands=syslog")),
        (b"500 disk full", Reply(500, "disk full")),
        (b"500", Reply(500, "")),
    ],
)
def test_replies_are_read(data: bytes, expected: Reply) -> None:
    """Code, words and data are told apart, and 200 alone means yes."""
    reply = Reply.parse(data)
    assert reply == expected
    assert reply.is_ok == (expected.code == 200)


@pytest.mark.parametrize("data", [b"", b"OK", b"20 OK", b"2000 OK"])
def test_a_reply_without_a_code_is_none(data: bytes) -> None:
    """Whether a message was taken is never guessed."""
    with pytest.raises(NotRelpError):
        Reply.parse(data)


def test_transaction_numbers_begin_again_at_one() -> None:
    """After 999,999,999 comes 1, because 0 is for hints."""
    assert [next_txnr(number) for number in (1, 999_999_998, 999_999_999)] == [2, 999_999_999, 1]
