"""Declared format of a delimited landing file: `meta.landing_file` of its model."""

import codecs
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from lakehouse.declaration import Declaration, known_word
from lakehouse.errors import nearest
from lakehouse.landing.errors import LandingOptionsRefused

ROW_NUMBER = "row_number"
# Python's codecs that are not encodings of files.
_NO_FILES = {"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "utf-7"}
DATE_PIECES = re.compile(r"([A-Za-z])\1*|[^A-Za-z]+")  # words of one letter, and what is between them
_DATE_WORDS = ("d", "dd", "M", "MM", "MMM", "yy", "yyyy", "H", "HH", "mm", "ss")
_QUOTE_HINT = "YAML reads some words and numbers as something else, such as no, null, 012 or 1:30: put it in quotes"


class LandingOptions(Declaration):
    """Format of a file; every option but the columns and the delimiter has a default.

    Attributes:
        path: the file; its ending marks gzip and zip.
        columns: names of the columns, in the order of the file.
        header: header of the file, if it differs from `columns`.
        delimiter: one character between fields.
        encoding: a name that Python knows.
        escape: character that escapes a quote and itself within quotes; None if a quote is doubled instead.
        numbers: columns whose numbers become texts like 1234.5, which SQL can cast.
        decimal: decimal character of the `numbers`.
        thousands: character that groups the digits of the `numbers`, or None.
        dates: columns whose dates become texts like 2024-12-31, which SQL can cast; or the pattern of each of them.
        date_format: pattern of the `dates` in Spark's letters, such as dd.MM.yyyy or dd.MM.yyyy HH:mm.
        missing: texts that mean a missing value, such as k.A. or a dash; they become empty, in every column
            or in those that are named with their texts.
        skip_lines: lines before the header.
        skip_last_lines: lines behind the last row, such as a sum.
        texts: columns that stay as they are, although they look like undeclared numbers or dates.
        embedded_rows: True if a value within quotes may consist of lines that look like rows.
    """

    path: str = Field(min_length=1)
    columns: tuple[str, ...] = Field(min_length=1)
    header: tuple[str, ...] | None = None
    delimiter: str
    encoding: str = "utf-8"
    escape: str | None = None
    numbers: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str | None = None
    dates: tuple[str, ...] | dict[str, str] = ()
    date_format: str | None = None
    missing: tuple[str, ...] | dict[str, tuple[str, ...]] = ()
    skip_lines: int = Field(default=0, ge=0)
    skip_last_lines: int = Field(default=0, ge=0)
    texts: tuple[str, ...] = ()
    embedded_rows: bool = Field(default=False, strict=True)

    @classmethod
    def of(cls, model: str, declared: Mapping[str, Any]) -> Self:
        """Check the declaration of a model.

        Raises:
            LandingOptionsRefused: an option is unknown, missing or invalid.
        """
        try:
            return cls.model_validate(dict(declared))
        except ValidationError as err:
            raise LandingOptionsRefused.invalid(model, [_problem(error) for error in err.errors()]) from err

    @property
    def file_header(self) -> tuple[str, ...]:
        """The header that the file must have."""
        return self.columns if self.header is None else self.header

    @property
    def date_formats(self) -> Mapping[str, str]:
        """The pattern of each column of dates."""
        if isinstance(self.dates, dict):
            return self.dates
        return dict.fromkeys(self.dates, str(self.date_format))

    @property
    def missing_words(self) -> Mapping[str, tuple[str, ...]]:
        """The texts of each column that mean a missing value."""
        if isinstance(self.missing, dict):
            return self.missing
        return dict.fromkeys(self.columns, self.missing) if self.missing else {}

    @field_validator("columns")
    @classmethod
    def _columns_differ(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        # SQL does not tell apart names that differ only in case.
        times = Counter(column.lower() for column in columns)
        if twice := [column for column in columns if times[column.lower()] > 1]:
            raise ValueError(f"names a column twice: {', '.join(twice)}; {_rename(twice[-1] + '_2')}")
        if ROW_NUMBER in times:
            raise ValueError(f"names a column {ROW_NUMBER}, which the build adds; {_rename('line_of_source')}")
        if "" in times:
            raise ValueError(f"names a column without a name; {_rename('unnamed')}")
        return columns

    @field_validator("encoding")
    @classmethod
    def _is_an_encoding(cls, encoding: str) -> str:
        try:
            codec = codecs.lookup(encoding)
        except LookupError:
            known = ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1", "iso-8859-15", "cp850"]
            raise ValueError(f"is not a known encoding. {nearest(encoding, known)}") from None
        if codec.name in _NO_FILES or not codec._is_text_encoding:
            raise ValueError("is not an encoding of text files")
        return encoding

    @field_validator("delimiter", "escape")
    @classmethod
    def _is_one_ascii_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or not value.isascii() or value in '\r\n\0"'):
            raise ValueError("must be one ASCII character, neither a quote nor a line end")
        return value

    @field_validator("decimal", "thousands")
    @classmethod
    def _is_one_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or value.isalnum() or value in "+-"):
            raise ValueError("must be one character that numbers do not use otherwise")
        return value

    @field_validator("dates")
    @classmethod
    def _are_date_formats(cls, dates: tuple[str, ...] | dict[str, str]) -> tuple[str, ...] | dict[str, str]:
        for pattern in dates.values() if isinstance(dates, dict) else ():
            cls._is_a_date_format(pattern)
        return dates

    @field_validator("date_format")
    @classmethod
    def _is_a_date_format(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        words = [piece[0] for piece in DATE_PIECES.finditer(pattern) if piece[1]]
        letters = [word[0] for word in words]
        is_date = {*letters} >= {*"dMy"} and len({*letters}) == len(letters) and {*words} <= {*_DATE_WORDS}
        if not is_date or ("m" in letters) > ("H" in letters) or ("s" in letters) > ("m" in letters):
            raise ValueError(
                f"must be made of {', '.join(_DATE_WORDS)}, where MM are months and mm minutes, "
                "such as dd.MM.yyyy or dd.MM.yyyy HH:mm"
            )
        return pattern

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if len(self.file_header) != len(self.columns):
            raise ValueError(f"`header` has {len(self.file_header)} names, and `columns` has {len(self.columns)}")
        converted = [*self.numbers, *self.dates, *self.texts]
        for column in [*converted, *(self.missing if isinstance(self.missing, dict) else ())]:
            known_word("column", column, list(self.columns))
        if twice := [column for column, times in Counter(converted).items() if times > 1]:
            raise ValueError(f"`numbers`, `dates` and `texts` name a column twice: {', '.join(twice)}")
        if not self.numbers and (self.decimal != "." or self.thousands):
            raise ValueError("`decimal` and `thousands` need `numbers`, the list of columns they apply to")
        if self.decimal == self.thousands:
            raise ValueError(f"`decimal` and `thousands` are the same character {self.decimal!r}")
        if isinstance(self.dates, dict) and self.date_format is not None:
            raise ValueError("`dates` gives each column its own pattern: remove `date_format`")
        if not isinstance(self.dates, dict) and bool(self.dates) != bool(self.date_format):
            raise ValueError("`date_format` and `dates`, the list of columns it applies to, need each other")
        if self.escape is not None and self.escape == self.delimiter:
            raise ValueError(f"`escape` and `delimiter` are the same character {self.escape!r}")
        return self


def _rename(example: str) -> str:
    return f"write the file's names into `header`, and other names into `columns`, such as {example}"


def _problem(error: Any) -> str:
    option = str(error["loc"][0]) if error["loc"] else "landing_file"
    value = error["input"]
    if error["type"] == "extra_forbidden":
        return f"{option}: no such option. {nearest(option, list(LandingOptions.model_fields))}"
    message = f"{option}: {error['msg'].removeprefix('Value error, ')}"
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        return message
    hint = f". {_QUOTE_HINT}" if value is None or isinstance(value, bool | int | float | date) else ""
    return f"{message} (got {value!r}){hint}"
