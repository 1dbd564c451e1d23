"""Choices of the person about the format of the file."""

from dataclasses import dataclass
from typing import Literal

DateOrder = Literal["dmy", "mdy", "ymd"]


@dataclass(frozen=True)
class Habits:
    """Format of the file as the person has named it; None is found from the file."""

    dates: DateOrder | None = None
    decimal: str | None = None
    encoding: str | None = None
    table: str | None = None
    embedded_rows: bool = False  # True if lines within quotes that look like rows are one value
    words: tuple[str, ...] = ()  # columns whose words such as `unknown` are values, not missing ones
