"""The part of Splunk's eval language that the add-on uses, read strictly: what is not known here is an error."""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

Value = str | float | bool | list[str] | None
Fields = Mapping[str, list[str]]
"""The values of an event by field; Splunk's fields may have several."""

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|'(?P<field>[^']+)'|(?P<number>\d+(?:\.\d+)?)|(?P<name>\w+)|(?P<sign>==|[(),*]))"""
)


class Eval:
    """One expression; ``names`` are the fields it reads."""

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self._tokens = list(_tokens(text))
        self._at = 0
        self._tree = self._comparison()
        if self._at != len(self._tokens):
            raise ValueError(f"something follows the expression: {self._tokens[self._at]}")

    def value(self, fields: Fields) -> Value:
        """Return its value for an event."""
        return self._tree(fields)

    def _comparison(self) -> Callable[[Fields], Value]:
        left = self._product()
        if not self._takes("=="):
            return left
        right = self._product()
        return lambda fields: None if (one := left(fields)) is None else _text(one) == _text(right(fields))

    def _product(self) -> Callable[[Fields], Value]:
        left = self._term()
        if not self._takes("*"):
            return left
        right = self._term()
        return lambda fields: None if (one := left(fields)) is None else float(_text(one)) * float(_text(right(fields)))

    def _term(self) -> Callable[[Fields], Value]:
        kind, text = self._next()
        if kind == "string":
            return lambda _: re.sub(r"\\(.)", r"\1", text[1:-1])
        if kind == "number":
            return lambda _: float(text)
        if kind == "name" and self._takes("("):
            return self._call(text)
        if kind not in ("name", "field"):
            raise ValueError(f"not expected: {text}")
        self.names.add(text)
        return lambda fields: _field(fields, text)

    def _filtered(self) -> Callable[[Fields], Value]:
        """Read mvfilter's argument, a condition on one field that is asked for each of its values."""
        before, self.names = self.names, set()
        condition = self._comparison()
        self._expect(")")
        [name] = self.names
        self.names |= before
        return lambda fields: [one for one in fields.get(name, []) if condition({name: [one]}) is True] or None

    def _call(self, name: str) -> Callable[[Fields], Value]:
        if name == "mvfilter":
            return self._filtered()
        arguments: list[Callable[[Fields], Value]] = []
        while not self._takes(")"):
            arguments.append(self._comparison())
            if not self._takes(","):
                self._expect(")")
                break
        function = FUNCTIONS[name]
        return lambda fields: function([argument(fields) for argument in arguments])

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise ValueError("the expression ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, sign: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign):
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._takes(sign):
            raise ValueError(f"{sign} is missing")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"cannot be read: {text[at:]}")
        kind = match.lastgroup or ""
        yield kind, match[kind]
        at = match.end()


def _field(fields: Fields, name: str) -> Value:
    values = fields.get(name) or []
    return None if not values else values[0] if len(values) == 1 else list(values)


def _text(value: Value) -> str:
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else str(value)
    assert isinstance(value, str), f"{value!r} is not one text"
    return value


def listed(value: Value) -> list[str]:
    """Return a value as the values of a field."""
    if value is None:
        return []
    return value if isinstance(value, list) else [_text(value)]


def _match(arguments: list[Value]) -> Value:
    value, pattern = arguments
    return None if value is None else re.search(_text(pattern), _text(value)) is not None


def _index(arguments: list[Value]) -> Value:
    values, place = listed(arguments[0]), int(_text(arguments[1]))
    return values[place] if place < len(values) else None


def _case(arguments: list[Value]) -> Value:
    return next((value for test, value in zip(arguments[::2], arguments[1::2], strict=True) if test is True), None)


def _if(arguments: list[Value]) -> Value:
    test, yes, no = arguments
    return yes if test is True else no


def _in(arguments: list[Value]) -> Value:
    return None if arguments[0] is None else arguments[0] in arguments[1:]


def _round(arguments: list[Value]) -> Value:
    [value] = arguments
    # Half away from zero; Splunk's floats have more digits than matter here.
    return None if value is None else float(Decimal(str(value)).quantize(Decimal(1), ROUND_HALF_UP))


FUNCTIONS: Final[Mapping[str, Callable[[list[Value]], Value]]] = {
    "case": _case,
    "coalesce": lambda arguments: next((value for value in arguments if value is not None), None),
    "if": _if,
    "in": _in,
    "match": _match,
    "mvcount": lambda arguments: float(len(values)) if (values := listed(arguments[0])) else None,
    "mvindex": _index,
    "null": lambda _: None,
    "round": _round,
}
