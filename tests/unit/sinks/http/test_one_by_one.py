"""The fates of events sent one by one, without a network."""

from typing import Literal

import pytest

from mcwatch.domain.delivery import ALL_ACCEPTED, Refusal, Verdicts
from mcwatch.domain.errors import FailureReason, McwatchError, PermanentError, TransientError
from mcwatch.sinks.http.one_by_one import OneByOne

_NO = PermanentError("hook answered 400", detail="no such field")
_LATER = TransientError("hook answered 500")
_REFUSAL = Refusal(FailureReason.REFUSED, "hook answered 400: no such field")

Answers = list[Literal["yes", "no", "later"]]


def _fates(count: int, answers: Answers) -> OneByOne:
    fates = OneByOne(count)
    for index, answer in enumerate(answers):
        match answer:
            case "yes":
                fates.accept(index)
            case "no":
                fates.refuse(index, _NO)
            case "later":
                fates.interrupt(_LATER)
    return fates


@pytest.mark.parametrize(
    ("count", "answers", "expected"),
    [
        (2, ["yes", "yes"], ALL_ACCEPTED),
        (3, ["yes", "no", "yes"], Verdicts(refused={1: _REFUSAL})),
        (3, ["no", "no", "yes"], Verdicts(refused={0: _REFUSAL, 1: _REFUSAL})),
        (4, ["yes", "later"], Verdicts(retry=frozenset({1, 2, 3}))),
        (2, ["yes", "no"], Verdicts(retry=frozenset({1}))),
        (4, ["no", "yes", "no", "later"], Verdicts(refused={0: _REFUSAL}, retry=frozenset({2, 3}))),
    ],
)
def test_verdicts(count: int, answers: Answers, expected: Verdicts) -> None:
    """Accepted stays accepted; a refusal is final once a later event was accepted; all others are asked again."""
    assert expected == _fates(count, answers).verdicts()


@pytest.mark.parametrize(
    ("answers", "error"), [(["later"], _LATER), (["no"], _NO), (["no", "no"], _NO), (["no", "later"], _LATER)]
)
def test_nothing_accepted_is_the_error(answers: Answers, error: McwatchError) -> None:
    """Without one acceptance there are no verdicts, but what went wrong last."""
    with pytest.raises(type(error)) as failure:
        _fates(2, answers).verdicts()
    assert error is failure.value


@pytest.mark.parametrize(("before", "is_over"), [(9, False), (10, True)])
def test_ten_refusals_in_a_row_are_enough(before: int, is_over: bool) -> None:
    """A receiver that refuses ten in a row says more of itself than of the events; one acceptance begins anew."""
    fates = _fates(40, ["yes", *["no"] * before])  # type: ignore[list-item]
    assert is_over is fates.is_over
    if not is_over:
        fates.accept(before + 1)
        fates.refuse(before + 2, _NO)
        assert not fates.is_over
