"""When the ids of a source count as unstable."""

from hypothesis import given
from hypothesis import strategies as st

from mcwatch.domain.identity import UNSTABLE_REMEDY, Identity, IdentityWatch


def watched(*pages: tuple[int, int]) -> IdentityWatch:
    """Return a watch that was fed with pages of (reread, reidentified) rows."""
    watch = IdentityWatch()
    for reread, reidentified in pages:
        watch.note(reread, reidentified)
    return watch


def test_over_five_percent_of_enough_rows_are_unstable() -> None:
    """More than 5 % of at least 200 rows are needed, in one page or several."""
    assert not watched().unstable
    assert not watched((199, 199)).unstable
    assert not watched((200, 10)).unstable
    assert watched((200, 11)).unstable
    assert watched((100, 11), (100, 0)).unstable


def test_it_says_how_many_and_what_to_do() -> None:
    """The reason has the share in per cent, the remedy the option."""
    reason = "Mimecast ids change from poll to poll: 25 % of the rows read again came with another id"
    assert reason == watched((400, 100)).reason
    assert "set identity: content for this source" == UNSTABLE_REMEDY
    assert 0 == watched().share


def test_it_recovers() -> None:
    """After all ids were new for long, some thousand rows with lasting ids end it."""
    watch = watched(*[(1_000, 1_000)] * 50)
    states = [watch.unstable]
    for _ in range(6):
        watch.note(1_000, 0)
        states.append(watch.unstable)
    assert [True] * 3 == states[:3]
    assert not states[-1]


def test_it_is_found_out_after_a_long_quiet_time() -> None:
    """Months of lasting ids do not hide that they stopped lasting: one page of all new ids is enough."""
    watch = watched(*[(1_000, 0)] * 1_000)
    watch.note(500, 500)
    assert watch.unstable


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 3_000)).map(lambda page: (max(page), min(page)))))
def test_the_share_is_one(pages: list[tuple[int, int]]) -> None:
    """Whatever the pages, the share lies between 0 and 1, and pages of at most 5 % never add up to unstable."""
    watch = watched(*pages)
    assert 0 <= watch.share <= 1
    if all(reidentified * 21 <= reread for reread, reidentified in pages):
        assert not watch.unstable


def test_the_option_has_two_values() -> None:
    """The configuration writes `id` or `content`."""
    assert ["id", "content"] == list(Identity)
