"""Which events a destination wants."""

import pytest

from mcwatch.domain.selection import Selection

EVENTS = [
    b'{"kind":"message.seen","message":{"id":null,"route":"inbound"},"queue":null}',
    b'{"kind":"message.changed","message":{"route":"Outbound"}}',
    b'{"kind":"queue.left","message":{}}',
    b'{"kind":"queue.entered","message":{"route":null}}',
]


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(), [0, 1, 2, 3]),
        (Selection(kinds=("message.*",)), [0, 1]),
        (Selection(kinds=("queue.left", "message.seen")), [0, 2]),
        (Selection(kinds=("*.????",)), [0, 2]),
        (Selection(kinds=("Message.*",)), []),
        (Selection(kinds=()), []),
        (Selection(routes=("inbound",)), [0, 2, 3]),
        (Selection(routes=("outbound", "internal")), [1, 2, 3]),
        (Selection(kinds=("message.*",), routes=("outbound",)), [1]),
    ],
)
def test_wanted(selection: Selection, wanted: list[int]) -> None:
    """Kinds match by pattern, routes whatever their case; an event of unknown route is wanted."""
    assert wanted == selection.wanted(EVENTS)


def test_everything_is_not_even_looked_at() -> None:
    """Without patterns and routes no event is decoded."""
    assert [0, 1] == Selection().wanted([b"no JSON", b""])
    assert Selection().is_everything
    assert not Selection(kinds=("message.*",)).is_everything
    assert not Selection(routes=("inbound",)).is_everything


def test_accounts() -> None:
    """Accounts match by pattern, in their own case."""
    selection = Selection(accounts=("acme-*", "beta"))
    assert [True, True, False, False] == [
        selection.wants_account(name) for name in ("acme-uk", "beta", "beta2", "ACME-uk")
    ]
    assert Selection().wants_account("any")
