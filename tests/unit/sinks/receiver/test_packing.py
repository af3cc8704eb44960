"""Packed bodies."""

import gzip
import threading
from collections.abc import Awaitable, Callable

import pytest
import zstandard

from mcwatch.sinks.receiver import gzipped, packing, zstandard_packed

Pack = Callable[[bytes], Awaitable[bytes]]
_PACKERS = [
    pytest.param(gzipped, "_gzip", gzip.decompress, id="gzip"),
    pytest.param(
        zstandard_packed, "_zstd", lambda packed: zstandard.ZstdDecompressor().decompress(packed), id="zstandard"
    ),
]


@pytest.mark.parametrize("count", [0, 1, 10_000], ids=["empty", "small", "large"])
@pytest.mark.parametrize(("pack", "_name", "unpack"), _PACKERS)
async def test_packed_bytes_unpack(pack: Pack, _name: str, unpack: Callable[[bytes], bytes], count: int) -> None:
    """Any decompressor that knows the size or not gives back what went in, and the same input packs the same."""
    plain = b'{"event_id":"6f0c"}\n' * count
    assert plain == unpack(await pack(plain))
    assert await pack(plain) == await pack(plain)


@pytest.mark.parametrize(("count", "beside"), [(10, False), (10_000, True)], ids=["small", "large"])
@pytest.mark.parametrize(("pack", "name", "_unpack"), _PACKERS)
async def test_packing_does_not_hold_up_the_loop(
    monkeypatch: pytest.MonkeyPatch, pack: Pack, name: str, _unpack: object, count: int, beside: bool
) -> None:
    """A large body is packed in a thread, a small one where it is, which is sooner."""
    threads: list[int] = []
    real = getattr(packing, name)

    def noted(plain: bytes) -> bytes:
        threads.append(threading.get_ident())
        packed: bytes = real(plain)
        return packed

    monkeypatch.setattr(packing, name, noted)
    await pack(b'{"event_id":"6f0c"}\n' * count)
    assert [beside] == [thread != threading.get_ident() for thread in threads]
