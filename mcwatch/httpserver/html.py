"""A few lines to build HTML in which text cannot be markup: whatever is not :class:`Html` is escaped."""

from html import escape


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def join(*parts: str) -> Html:
    """Put parts one after the other, escaping those that are plain text."""
    return Html("".join(part if isinstance(part, Html) else escape(part, quote=True) for part in parts))


def tag(name: str, *parts: str, **attributes: str) -> Html:
    """Build an element; a trailing underscore of an attribute is cut, inner ones become hyphens (``aria_label``)."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value, quote=True)}"' for key, value in attributes.items()
    )
    return Html(f"<{name}{written}>{join(*parts)}</{name}>")
