"""The bounded cache of event bytes."""

from mcwatch.pipeline.cache import LineCache

_ROW = [b"x" * 67] * 10
"""1,000 bytes with what each line costs beside its text."""


def test_what_is_kept_comes_back() -> None:
    """Rows are told apart by account, offset and form."""
    cache = LineCache(10_000)
    cache.put(1, 0, [b"a"])
    cache.put(2, 0, [b"b"])
    cache.put(1, 0, [b"c"], "cef")
    assert ([b"a"], [b"b"], [b"c"], None) == (cache.get(1, 0), cache.get(2, 0), cache.get(1, 0, "cef"), cache.get(1, 1))


def test_cache_is_bounded() -> None:
    """However much is put in, no more than the limit stays, and what was used last stays longest."""
    cache = LineCache(3_000)
    for offset in range(3):
        cache.put(1, offset, _ROW)
    assert cache.get(1, 0) is not None
    for offset in range(3, 5):
        cache.put(1, offset, _ROW)
    assert [0, 3, 4] == sorted(cache.natives_of(1))
    for offset in range(5, 1000):
        cache.put(1, offset, _ROW)
    assert 3 == len(cache.natives_of(1))


def test_row_larger_than_the_cache_is_not_kept() -> None:
    """A row that does not fit at all leaves an empty cache that works on."""
    cache = LineCache(500)
    cache.put(1, 0, _ROW)
    assert cache.get(1, 0) is None
    cache.put(1, 1, [b"a"])
    assert [b"a"] == cache.get(1, 1)


def test_replacing_a_row_counts_it_once() -> None:
    """Putting a row again replaces it, so that its size does not add up."""
    cache = LineCache(2_000)
    cache.put(1, 0, _ROW)
    for _ in range(50):
        cache.put(1, 1, _ROW)
    assert cache.get(1, 0) is not None
    assert cache.get(1, 1) is not None


def test_native_rows_of_an_account_are_told() -> None:
    """The view names the rows held in native form, of that account alone, as they are now."""
    cache = LineCache(10_000)
    held = cache.natives_of(1)
    cache.put(1, 7, [b"a"])
    cache.put(2, 8, [b"a"])
    cache.put(1, 9, [b"a"], "cef")
    assert [7] == list(held)
    assert 1 == len(held)
    assert (True, False, False) == (7 in held, 8 in held, 9 in held)


def test_forms_of_one_row_go_by_themselves() -> None:
    """A row's native lines and what was made of them are told apart, bounded together, and each goes when it is old."""
    cache = LineCache(2_500)
    cache.put(1, 0, _ROW)
    cache.put(1, 0, _ROW, "ecs")
    assert cache.get(1, 0) is not None
    cache.put(1, 0, _ROW, "ecs redacted")
    assert cache.get(1, 0, "ecs") is None
    assert (True, True) == (cache.get(1, 0) is not None, cache.get(1, 0, "ecs redacted") is not None)
