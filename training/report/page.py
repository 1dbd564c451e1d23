"""What a page is made of: sections of tables, figures and words. Nothing here knows what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import ClassVar

import jinja2
from markupsafe import Markup

from training.evaluation.bootstrap import Interval
from training.report.charts.drawing import dot
from training.report.wording import bounds, shown

FOLDER = Path(__file__).parent
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


@dataclass(frozen=True)
class Cell:
    """What a table shows, and the value by which it sorts."""

    shown: str | Markup
    sort: float | str = ""
    kind: str = "words"


@dataclass(frozen=True)
class Column:
    """A table's column; `about` is shown when its head is pointed at."""

    title: str
    kind: str = "number"
    about: str = ""


@dataclass(frozen=True)
class Table:
    """Rows that sort by any column."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    marked: frozenset[int] = frozenset()  # rows set apart, by their place


@dataclass(frozen=True)
class LegendEntry:
    """One entry of a figure's legend."""

    name: str
    style: str
    shape: str = "line"


@dataclass(frozen=True)
class Figure:
    """A drawing under its title, with what is said below it."""

    kind: ClassVar[str] = "figure"
    title: str
    drawing: Markup
    caption: str
    keys: Sequence[LegendEntry] = ()
    wide: bool = False


@dataclass(frozen=True)
class Figures:
    """Drawings side by side where there is room."""

    kind: ClassVar[str] = "figures"
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    kind: ClassVar[str] = "words"
    text: str


@dataclass(frozen=True)
class WarningText:
    """A paragraph that must not be read over."""

    kind: ClassVar[str] = "warning"
    text: str


@dataclass(frozen=True)
class Folded:
    """Blocks that a reader opens."""

    kind: ClassVar[str] = "folded"
    title: str
    blocks: Sequence["Block"]


@dataclass(frozen=True)
class Tile:
    """One number that a reader looks for first."""

    title: str
    value: str
    about: str


@dataclass(frozen=True)
class Tiles:
    """The numbers at the head of the page."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]


Block = Table | Figure | Figures | Words | WarningText | Folded | Tiles


@dataclass(frozen=True)
class Section:
    """A part of the page, linked from its head by `anchor`."""

    anchor: str
    title: str
    blocks: Sequence[Block]


def render(title: str, lead: str, head: Sequence[Block], sections: Sequence[Section]) -> str:
    """The page, whole in itself: style, script and drawings inside."""
    # The two files are our own; everything else is escaped.
    style, script = (Markup((FOLDER / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))  # noqa: S704
    return TEMPLATES.get_template("page.html.j2").render(
        title=title, lead=lead, head=head, sections=sections, style=style, script=script, dot=dot
    )


def number(value: float, form: str = "") -> Cell:
    """A number that sorts by its value, in a form or as `shown`; what is no number is a dash."""
    if not isfinite(value):
        return Cell("-", "", "number")
    return Cell(format(value, form) if form else shown(value), value, "number")


def gained(value: float) -> Cell:
    """A measured difference, with its sign."""
    return Cell(shown(value, "+"), value, "number") if isfinite(value) else number(value)


def words(text: object) -> Cell:
    """Words that sort by the alphabet."""
    return Cell(str(text), str(text).lower())


def long(text: str) -> Cell:
    """Words that may take several lines."""
    return Cell(text, text.lower(), "prose")


def drawn(drawing: Markup, sort: float) -> Cell:
    """A drawing, and the value that it draws."""
    return Cell(drawing, sort, "drawn")


def bounds_cell(interval: Interval, sign: str = "") -> Cell:
    """The bounds in a table, sorted by the lower one."""
    return Cell(bounds(interval, sign), interval.low, "number")
