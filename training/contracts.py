"""What a scoring request must look like, and how a breach is told: by row and field."""

from dataclasses import asdict, dataclass

from lakehouse.errors import LakehouseError


@dataclass(frozen=True)
class Problem:
    """One value that breaks the contract; `row` counts from 0 in the request."""

    row: int
    field: str
    expected: str
    got: str

    def as_dict(self) -> dict[str, str | int]:
        return asdict(self)


class ContractViolation(LakehouseError):
    """A request was refused; `problems` says which values, `found` how many there are in all."""

    SHOWN = 20

    def __init__(self, problems: list[Problem]) -> None:
        self.found = len(problems)
        self.problems = problems[: self.SHOWN]
        first = self.problems[0]
        super().__init__(
            f"{self.found} value(s) break the input contract; first: row {first.row}, "
            f"field '{first.field}': expected {first.expected}, got {first.got}"
        )
