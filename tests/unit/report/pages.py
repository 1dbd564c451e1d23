"""Reads a report as a browser would: its tables by caption, its sections, and what it would load."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Grid:
    """A table: its caption, its heads, and the value by which each cell sorts."""

    caption: str = ""
    heads: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    def column(self, head: str) -> dict[str, str]:
        """One column's values by those of the first."""
        place = self.heads.index(head)
        return {row[0]: row[place] for row in self.rows}


class Page(HTMLParser):
    """A page that was parsed to its end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.anchors: list[str] = []
        self.ids: list[str] = []
        self.tables: list[Grid] = []
        self.undescribed = 0
        self.loads: list[str] = []
        self._into: list[str] | None = None
        self.feed(text)
        self.close()

    def table(self, start: str) -> Grid:
        found = [grid for grid in self.tables if grid.caption.startswith(start)]
        assert len(found) == 1, [grid.caption for grid in self.tables]
        return found[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [told["id"] or ""] if "id" in told else []
        self.loads += [value or "" for name, value in attrs if name in {"src", "href", "action", "data", "srcset"}]
        if tag == "section":
            self.anchors.append(told["id"] or "")
        if tag == "svg" and not told.get("aria-label") and told.get("aria-hidden") != "true":
            self.undescribed += 1
        if tag == "table":
            self.tables.append(Grid())
        if tag == "tr":
            self.tables[-1].rows.append([])
        if tag == "td":
            self.tables[-1].rows[-1].append(told["data-value"] or "")
        if tag in {"caption", "th"}:
            self._into = []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if self._into is not None and tag == "caption":
            self.tables[-1].caption, self._into = "".join(self._into), None
        if self._into is not None and tag == "th":
            self.tables[-1].heads.append("".join(self._into))
            self._into = None
        if tag == "thead":
            self.tables[-1].rows.clear()

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into.append(data)
