"""Parser of a report: its tables by caption, its sections, and the files that it would load."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Grid:
    """A table: its caption, its heads, and the sort value of each cell."""

    caption: str = ""
    heads: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    def column(self, head: str) -> dict[str, str]:
        """Values of one column, by those of the first column."""
        index = self.heads.index(head)
        return {row[0]: row[index] for row in self.rows}


class Page(HTMLParser):
    """A parsed page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.anchors: list[str] = []
        self.ids: list[str] = []
        self.tables: list[Grid] = []
        self.undescribed = 0
        self.loads: list[str] = []
        self._text: list[str] | None = None
        self.feed(text)
        self.close()

    def table(self, start: str) -> Grid:
        matching = [grid for grid in self.tables if grid.caption.startswith(start)]
        assert len(matching) == 1, [grid.caption for grid in self.tables]
        return matching[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.loads += [value or "" for name, value in attrs if name in {"src", "href", "action", "data", "srcset"}]
        if tag == "section":
            self.anchors.append(values["id"] or "")
        if tag == "svg" and not values.get("aria-label") and values.get("aria-hidden") != "true":
            self.undescribed += 1
        if tag == "table":
            self.tables.append(Grid())
        if tag == "tr":
            self.tables[-1].rows.append([])
        if tag == "td":
            self.tables[-1].rows[-1].append(values["data-value"] or "")
        if tag in {"caption", "th"}:
            self._text = []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if self._text is not None and tag == "caption":
            self.tables[-1].caption, self._text = "".join(self._text), None
        if self._text is not None and tag == "th":
            self.tables[-1].heads.append("".join(self._text))
            self._text = None
        if tag == "thead":
            self.tables[-1].rows.clear()

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)
