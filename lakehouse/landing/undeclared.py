"""Numbers and dates of a landing file in a format that is not declared, which SQL would read as something else."""

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.landing.errors import IN_THE_YML
from lakehouse.landing.options import LandingOptions
from lakehouse.landing.values import ValueProblem

# A column looks like numbers or dates if nine of ten values do.
SHARE = 0.9
_SAMPLE = 1_000
_TO_KEEP = "Write the column into `texts` if it is to stay as it is."


@dataclass(frozen=True)
class _Look:
    """The looks of a column in an undeclared format.

    Attributes:
        shape: pattern of nearly all values.
        evidence: pattern of at least one value, which is in no other format.
        rare: a character of all evidence, which is found quickly.
    """

    name: str
    shape: str
    evidence: str
    rare: bytes
    options: str


_DECIMAL_COMMA = _Look(
    "a number with a decimal comma",
    r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?$",
    r"\d\.\d{3},\d+$|,(\d{1,2}|\d{4,})$",
    b",",
    '`decimal: ","`, with `thousands: "."` if points group its digits',
)
_COMMAS = _Look(
    "a number with groups of thousands",
    r"^[+-]?(\d{1,3}([,']\d{3})+|\d+)(\.\d+)?$",
    r"^[+-]?\d{1,3}[,']\d{3}",
    b"[,']",
    '`thousands: ","` with the character between the groups (or `decimal: ","` if it is not between groups)',
)
_POINTS = _Look(
    "a number with groups of thousands",
    r"^[+-]?([1-9]\d{0,2}(\.\d{3})*|0)$",
    r"\.\d{3}$",
    b"[.]",
    '`decimal: ","` and `thousands: "."`',
)
_DATES = _Look(
    "a date that SQL cannot cast",
    r"^\d{1,2}[./-]\d{1,2}[./-]\d{4}( \d{1,2}:\d\d(:\d\d)?)?$",
    r"^\d",
    b"[./-]",
    "`date_format: dd.MM.yyyy`, or the pattern that it has",
)

# Shape of nearly all values, and of at least one, by which a column is in a format that must be declared.
UNDECLARED_SHAPES = tuple((look.shape, look.evidence) for look in (_DECIMAL_COMMA, _COMMAS, _POINTS, _DATES))


@dataclass
class _Watched:
    """A column whose first values have a look, with counts of all values so far.

    Attributes:
        filled: values that are not empty.
        alike: values of the shape.
        row: first row with evidence, from 0; None if there is none yet.
        value: its value.
        has_four_digits: a value is a whole number such as 1234, without a group.
        has_other_groups: a value is a whole number of up to three digits, or has two points.
    """

    column: str
    look: _Look
    filled: int = 0
    alike: int = 0
    row: int | None = None
    value: str = ""
    has_four_digits: bool = False
    has_other_groups: bool = False

    def observe(self, values: pa.ChunkedArray, first_row: int) -> None:
        """Count the values of the next part, whose first row is given."""
        filled, alike = _counts(values, self.look)
        self.filled += filled
        self.alike += alike
        if self.look is _POINTS:
            self.has_four_digits |= _any(values, r"^[+-]?\d{4,}$")
            self.has_other_groups |= _any(values, r"^[+-]?\d{1,3}$|\..*\.")
        if self.row is None and _holds(values, self.look.rare):
            evidence = pc.and_(_matches(values, self.look.shape), _matches(values, self.look.evidence))
            position = pc.index(evidence, True).as_py()
            if position >= 0:
                self.row, self.value = first_row + position, values[position].as_py()

    @property
    def problem(self) -> ValueProblem | None:
        """The first evidence, if nearly all values have the look."""
        if self.row is None or self.alike < SHARE * self.filled:
            return None
        # 1.500 alone may be one and a half. Beside 2 or 1.000.000 it is not, and beside 1234 it is.
        if self.look is _POINTS and (self.has_four_digits or not self.has_other_groups):
            return None
        applies = "dates" if self.look is _DATES else "numbers"
        problem = f"{self.value!r}, {self.look.name},"
        hint = f"Write {self.look.options}, and `{applies}: [{self.column}]` into {IN_THE_YML}. {_TO_KEEP}"
        return ValueProblem(self.row, self.column, problem, hint)


class UndeclaredFormats:
    """Looks for columns in an undeclared format while the parts of a file pass; keeps the first 1,000 rows alone."""

    def __init__(self, options: LandingOptions) -> None:
        declared = {*options.numbers, *options.dates, *options.texts}
        self._columns = [column for column in options.columns if column not in declared]
        self._start: list[pa.Table] | None = []
        self._watched: list[_Watched] = []
        self._rows = 0

    def observe(self, part: pa.Table) -> None:
        """Take the next rows."""
        if self._start is None:
            self._count(part)
            return
        self._start.append(part)
        if sum(each.num_rows for each in self._start) >= _SAMPLE:
            self._choose(self._start)

    @property
    def problem(self) -> ValueProblem | None:
        """The first value of a column in an undeclared format; to be asked for when all rows have passed."""
        if self._start:
            self._choose(self._start)
        return next((problem for watched in self._watched if (problem := watched.problem)), None)

    def _choose(self, start: list[pa.Table]) -> None:
        """Watch the columns whose first values have a look."""
        sample = pa.concat_tables(start).slice(0, _SAMPLE)
        for column in self._columns:
            for look in (_DECIMAL_COMMA, _COMMAS, _POINTS, _DATES):
                filled, alike = _counts(sample[column], look)
                if alike >= SHARE * filled:
                    self._watched.append(_Watched(column, look))
        self._start = None
        for part in start:
            self._count(part)

    def _count(self, part: pa.Table) -> None:
        for watched in self._watched:
            watched.observe(part[watched.column], self._rows)
        self._rows += part.num_rows


def _counts(values: pa.ChunkedArray, look: _Look) -> tuple[int, int]:
    """Values that are not empty, and those of the shape."""
    filled = values.filter(pc.not_equal(values, ""))
    return len(filled), pc.sum(_matches(filled, look.shape)).as_py() or 0


def _any(values: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.any(_matches(values, pattern)).as_py())


def _holds(values: pa.ChunkedArray, characters: bytes) -> bool:
    """Return True if any value may hold one of the characters: a search of the memory, which is fast."""
    return any(re.search(characters, memoryview(part.buffers()[2] or b"")) for part in values.chunks)


def _matches(values: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    return pc.match_substring_regex(values, pattern)
