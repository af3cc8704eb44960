"""Whatever text a mail brings, CEF brings it back."""

from hypothesis import given
from hypothesis import strategies as st

from mcwatch.formats.cef import CefFormatConfig
from tests.unit.formats import native
from tests.unit.formats.cef_parser import carried, parse

_SPECIAL = st.text(st.sampled_from("|=\\ \n\r\t\0\x1b\x7f\x85\x9f\u2028\u2029\"',^]{}nr ab=é😀\u202e\xa0\ufeff\uffff"))
_TEXT = st.text(st.characters(exclude_categories=["Cs"])) | _SPECIAL
_PLACES = {"subject": "msg", "info": "reason", "status": "act", "id": "cs1", "priority": "mimecastPriority"}


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(_PLACES, _TEXT)), _TEXT, st.lists(_TEXT, max_size=3))
def test_texts_round_trip(message: dict[str, str], account: str, to: list[str]) -> None:
    """Each text is found under its key, and an empty one under none."""
    event = {**native.bare(**message, to=[{"address": address} for address in to]), "account": "-" + account}
    extension = parse(CefFormatConfig().build().render(native.lines(event))[0]).extension
    expected = {_PLACES[name]: carried(text) for name, text in message.items() if text}
    assert expected == {key: extension[key] for key in _PLACES.values() if key in extension}
    assert carried("-" + account) == extension["deviceExternalId"]
    assert carried(",".join(filter(None, to))) == extension.get("duser", "")
