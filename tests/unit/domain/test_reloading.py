"""What a changed configuration means for what runs."""

from mcwatch.domain.reloading import Changes, Reloaded, compare, differing


def test_parts_are_compared_by_name() -> None:
    """New, different and missing parts are told apart, in the order of the configuration; equal ones are in none."""
    before, after = {"gone": 1, "same": 2, "other": 3}, {"new": 9, "other": 4, "same": 2}
    changes = compare(before, after)
    assert Changes(added=["new"], changed=["other"], removed=["gone"]) == changes
    assert ["new", "other"] == changes.started
    assert ["other", "gone"] == changes.stopped


def test_an_order_of_parts_is_no_change() -> None:
    """Parts that merely stand in another order stay as they are."""
    assert Changes() == compare({"a": 1, "b": 2}, {"b": 2, "a": 1})


def test_lines_name_every_part() -> None:
    """A person reads one line for each part that has changed, and none when nothing has."""
    changed = Reloaded(accounts=Changes(added=["a"]), destinations=Changes(changed=["b"], removed=["c"]))
    assert ["account a added", "destination b changed", "destination c removed"] == changed.lines
    assert [] == Reloaded().lines


def test_differing_keys_carry_their_section() -> None:
    """A key is named as it is written in the file's sections."""
    assert ["store.url"] == differing("store", {"url": 1, "keep": 2}, {"url": 3, "keep": 2})
