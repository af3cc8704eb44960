"""HTML as a test looks at it."""

from html.parser import HTMLParser

_VOID = {"meta", "link"}


class Parsed(HTMLParser):
    """The elements, checked to be nested properly, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that the element that ends is the one opened last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Take in words."""
        self.words.append(data)

    @property
    def shape(self) -> list[tuple[str, list[str]]]:
        """The elements with the names of their attributes."""
        return [(tag, list(values)) for tag, values in self.elements]

    @property
    def text(self) -> str:
        """All words."""
        return " ".join(self.words)
