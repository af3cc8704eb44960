"""Whatever a mail brings, the CIM document is JSON on one line that brings it back."""

import json

from hypothesis import given
from hypothesis import strategies as st

from mcwatch.formats.cim import CimFormatConfig
from tests.unit.formats import native

_TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.text(
    st.sampled_from('\0\n\x7f\x85\x9f\xa0é\u2028\u2029"\\u')
)
_PLACES = {"subject": "subject", "info": "message_info", "status": "mimecast_status", "id": "internal_message_id"}
_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(_PLACES, _TEXT)),
    st.dictionaries(_TEXT, _VALUE, min_size=1, max_size=2),
)
def test_texts_round_trip(message: dict[str, str], extra: dict[str, object]) -> None:
    """Each text and every unknown field is found under its name, and no control character in the bytes."""
    (payload,) = CimFormatConfig().build().render(native.lines(native.bare(**message, extra=extra)))
    document = json.loads(payload)
    expected = {_PLACES[name]: text for name, text in message.items()}
    assert expected == {name: document[name] for name in _PLACES.values() if name in document}
    assert extra == document["mimecast_extra"]
    assert [payload.decode()] == payload.decode().splitlines()
