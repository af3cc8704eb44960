"""The packing of request bodies, beside the event loop where it takes long."""

import asyncio

import zstandard
from isal import igzip

_THREAD_FROM_BYTES = 64 * 1024
"""Below this a body is packed sooner than a thread is asked (about 0.5 ms)."""
# JSON of the same kind of event shrinks to a tenth at any level; higher ones cost several times the CPU.
_GZIP_LEVEL = 1
_ZSTD_LEVEL = 1


async def gzipped(plain: bytes) -> bytes:
    """Return ``plain`` as gzip, the same bytes for the same input."""
    return _gzip(plain) if len(plain) <= _THREAD_FROM_BYTES else await asyncio.to_thread(_gzip, plain)


async def zstandard_packed(plain: bytes) -> bytes:
    """Return ``plain`` as one frame of Zstandard (RFC 8878), the same bytes for the same input."""
    return _zstd(plain) if len(plain) <= _THREAD_FROM_BYTES else await asyncio.to_thread(_zstd, plain)


def _gzip(plain: bytes) -> bytes:
    packed: bytes = igzip.compress(plain, compresslevel=_GZIP_LEVEL, mtime=0)
    return packed


def _zstd(plain: bytes) -> bytes:
    # A compressor of its own each time: one is not to be used by two threads.
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(plain)
