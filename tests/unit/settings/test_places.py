"""From a location of the library's to key path, model and secrecy."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from mcwatch.option_types import Config, Secret
from mcwatch.settings.places import locate


class Left(Config):
    """One member."""

    type: Literal["left", "links"]
    left: int = 0


class Right(Config):
    """Another member, with a key named like a tag."""

    type: Literal["right"]
    right: Secret
    hidden: str = Field("", repr=False)


class Root(Config):
    """All ways to hold something."""

    items: list[Annotated[Left | Right, Field(discriminator="type")]]
    optional: Right | None = None
    texts: dict[str, Secret] = Field(default_factory=dict)
    either: int | str = 0
    from_: int = Field(0, alias="from")


@pytest.mark.parametrize(
    ("location", "path", "model", "secret"),
    [
        (("items", 0, "left", "left"), ("items", 0, "left"), Left, False),
        (("items", 0, "links", "left"), ("items", 0, "left"), Left, False),
        (("items", 1, "right", "right"), ("items", 1, "right"), Right, True),
        (("items", 1, "right", "hidden"), ("items", 1, "hidden"), Right, True),
        (("items", 1, "right"), ("items", 1), None, False),
        (("optional", "right"), ("optional", "right"), Right, True),
        (("texts", "a"), ("texts", "a"), None, True),
        (("either", "int"), ("either",), Root, False),
        (("from",), ("from",), Root, False),
        (("unknown",), ("unknown",), Root, True),
        (("items", 0, "middle", "x"), ("items", 0, "x"), None, False),
    ],
)
def test_locate(
    location: tuple[str | int, ...], path: tuple[str | int, ...], model: type[Config] | None, secret: bool
) -> None:
    """Tags of unions are left out of the path; secrets, hidden and unknown keys are not to be shown."""
    place = locate(Root, location)
    assert (place.path, place.model, place.secret) == (path, model, secret)
