"""Building blocks of a page, independent of their content: sections, tables, figures and paragraphs."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import ClassVar

import jinja2
from markupsafe import Markup

from training.evaluation.bootstrap import Interval
from training.report.charts.drawing import dot
from training.report.wording import format_bounds, format_number

FOLDER = Path(__file__).parent
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


@dataclass(frozen=True)
class Cell:
    """The content of a table cell, with its sort value."""

    content: str | Markup
    sort: float | str = ""
    kind: str = "text"


@dataclass(frozen=True)
class Column:
    """A column of a table; `tooltip` explains its head."""

    title: str
    kind: str = "number"
    tooltip: str = ""


@dataclass(frozen=True)
class Table:
    """A table that sorts by any column; `marked` are the indices of highlighted rows."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True)
class LegendEntry:
    """One entry of a figure's legend."""

    name: str
    style: str
    shape: str = "line"


@dataclass(frozen=True)
class Figure:
    """A drawing with title, legend and caption.

    Attributes:
        wide: True for the whole width of the page.
        narrow: the same drawing for a screen on which a wide one would be cut or too small to read.
    """

    kind: ClassVar[str] = "figure"
    title: str
    drawing: Markup
    caption: str
    legend: Sequence[LegendEntry] = ()
    wide: bool = False
    narrow: Markup | None = None


@dataclass(frozen=True)
class Figures:
    """Figures in a grid."""

    kind: ClassVar[str] = "figures"
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True)
class WarningNote:
    """A highlighted paragraph."""

    kind: ClassVar[str] = "warning"
    text: str


@dataclass(frozen=True)
class Collapsed:
    """Blocks that are hidden until a reader opens them."""

    kind: ClassVar[str] = "collapsed"
    title: str
    blocks: Sequence["Block"]


@dataclass(frozen=True)
class Tile:
    """One key number."""

    title: str
    value: str
    detail: str


@dataclass(frozen=True)
class Tiles:
    """Key numbers at the top of the page."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Headline:
    """The first line of the page."""

    kind: ClassVar[str] = "headline"
    text: str


@dataclass(frozen=True)
class Facts:
    """Labels with their values."""

    kind: ClassVar[str] = "facts"
    facts: Sequence[tuple[str, str]]


Block = Table | Figure | Figures | Paragraph | WarningNote | Collapsed | Tiles | Headline | Facts


@dataclass(frozen=True)
class Section:
    """A section of the page; the navigation links to its `anchor`."""

    anchor: str
    title: str
    blocks: Sequence[Block]


def render(title: str, top: Sequence[Block], sections: Sequence[Section]) -> str:
    """Render one self-contained HTML file: style, script and drawings are inline."""
    # These two files belong to the project; everything else is escaped.
    style, script = (Markup((FOLDER / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))  # noqa: S704
    return TEMPLATES.get_template("page.html.j2").render(
        title=title, top=top, sections=sections, style=style, script=script, dot=dot
    )


def number_cell(value: float, number_format: str = "") -> Cell:
    """A number, sorted by its value; a dash if it is not finite."""
    if not isfinite(value):
        return Cell("-", "", "number")
    return Cell(format(value, number_format) if number_format else format_number(value), value, "number")


def gain_cell(value: float) -> Cell:
    """A signed difference."""
    return Cell(format_number(value, "+"), value, "number") if isfinite(value) else number_cell(value)


def text_cell(text: object) -> Cell:
    """Text, sorted alphabetically."""
    return Cell(str(text), str(text).lower())


def prose_cell(text: str) -> Cell:
    """Text that may wrap."""
    return Cell(text, text.lower(), "prose")


def drawing_cell(drawing: Markup, sort: float) -> Cell:
    """A drawing, sorted by the value that it shows."""
    return Cell(drawing, sort, "drawn")


def bounds_cell(interval: Interval, sign: str = "") -> Cell:
    """The bounds of an interval, sorted by the lower one."""
    return Cell(format_bounds(interval, sign), interval.low, "number")
