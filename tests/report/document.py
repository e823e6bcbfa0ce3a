"""A small reader of HTML, for looking at what a page says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})


@dataclass
class Element:
    """An element with attributes and children (elements and texts)."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def every(self, tag: str | None = None, **attributes: str) -> Iterator[Element]:
        """This element and all below it, in document order, that match."""
        if tag in (None, self.tag) and all(
            value in self.attributes.get(name.rstrip("_"), "").split()
            for name, value in attributes.items()
        ):
            yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.every(tag, **attributes)

    def one(self, tag: str | None = None, **attributes: str) -> Element:
        """The first match; its absence fails the test."""
        found = next(self.every(tag, **attributes), None)
        assert found is not None, f"no <{tag}> with {attributes}"
        return found

    @property
    def text(self) -> str:
        """All text with white space collapsed."""
        parts = [c if isinstance(c, str) else c.text for c in self.children]
        return " ".join(" ".join(parts).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("root")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(html: str) -> Element:
    """Read a page whose elements are all closed in order; anything else fails the test."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == [reader.root], f"never closed: {[e.tag for e in reader.open[1:]]}"
    return reader.root


def table_rows(page: Element, table: str) -> dict[str, list[str]]:
    """Cells of a table by the text of the row's header."""
    rows = {}
    for row in page.one(id=table).every("tr"):
        if header := list(row.every("th", scope="row")):
            rows[header[0].text] = [cell.text for cell in row.every("td")]
    return rows
