"""The declarative search space: one form for every family and every search method."""

from collections.abc import Mapping
from dataclasses import dataclass

Value = int | float | str | None
Params = Mapping[str, Value]


@dataclass(frozen=True)
class Int:
    """A whole number from `low` to `high`, both included; `log` spreads the search evenly over magnitudes."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _require_bounds(self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Float:
    """A number from `low` to `high`; `log` spreads the search evenly over magnitudes."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _require_bounds(self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Choice:
    """One of the values."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a Choice needs at least one value")


Dimension = Int | Float | Choice
Space = Mapping[str, Dimension]


def _require_bounds(low: float, high: float, *, log: bool) -> None:
    if low >= high:
        raise ValueError(f"the lower bound {low} is not below the upper bound {high}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must begin above 0, and this one begins at {low}")
