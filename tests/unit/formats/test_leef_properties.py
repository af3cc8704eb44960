"""Whatever text a mail brings, LEEF brings back all that it can carry."""

import json

from hypothesis import given
from hypothesis import strategies as st

from mcwatch.formats.leef import LeefFormatConfig
from tests.unit.formats import native
from tests.unit.formats.leef_parser import carried, parse

_SPECIAL = st.text(
    st.sampled_from("|=\\ \n\r\t\0\x1b\x7f\x85\x9f\u2028\u2029\"',^;x09{}[] a=é😀\u202e\xa0\ufeff\uffff")
)
_TEXT = st.text(st.characters(exclude_categories=["Cs"])) | _SPECIAL
_PLACES = {"subject": "subject", "info": "info", "status": "cat", "id": "mimecast_id", "priority": "priority"}


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(_PLACES, _TEXT)),
    st.lists(_TEXT, max_size=3),
    st.dictionaries(_TEXT, _TEXT, min_size=1, max_size=2),
    st.sampled_from([("x09", "\t"), ("^", "^"), ("x1c", "\x1c"), (";", ";")]),
)
def test_texts_round_trip(
    message: dict[str, str], to: list[str], extra: dict[str, str], delimiter: tuple[str, str]
) -> None:
    """Each text is found under its key, an empty one under none; JSON comes back whole."""
    option, character = delimiter
    event = native.bare(**message, to=[{"address": address} for address in to], extra=extra)
    attributes = parse(LeefFormatConfig(delimiter=option).build().render(native.lines(event))[0]).attributes
    expected = {_PLACES[name]: carried(text, character) for name, text in message.items() if text}
    assert expected == {key: attributes[key] for key in _PLACES.values() if key in attributes}
    assert carried(",".join(filter(None, to)), character) == attributes.get("to", "")
    assert extra == json.loads(attributes["extra"])
