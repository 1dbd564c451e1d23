"""What a scoring request must look like, and how a breach is told: by row and field."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lakehouse.errors import LakehouseError, nearest
from scoring.encoder import Encoder
from scoring.encodings import Encoding


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


def check(
    records: Sequence[Mapping[str, Any]], encoder: Encoder, encodings: Sequence[Encoding] | None = None
) -> None:
    """Hold every record to the encoder, or to some of its encodings: each field, no other, and values that it takes.

    A field that may be null must still be there: a forgotten field is no statement that the value is unknown.

    Raises:
        ContractViolation: with every value that is wrong.
    """
    encodings = encoder.encodings if encodings is None else encodings
    known = {encoding.column for encoding in encodings}
    problems = [
        problem
        for row, record in enumerate(records)
        for problem in [*_fields(row, record, known), *_values(row, record, encoder, encodings)]
    ]
    if problems:
        raise ContractViolation(problems)


def _fields(row: int, record: Mapping[str, Any], known: set[str]) -> list[Problem]:
    return [
        Problem(row, str(field), f"no such field. {nearest(str(field), sorted(known))}", _shown(record[field]))
        for field in record
        if field not in known
    ]


def _values(row: int, record: Mapping[str, Any], encoder: Encoder, encodings: Sequence[Encoding]) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for encoding in encodings:
        if encoding.column not in record:
            problem = Problem(row, encoding.column, encoder.expected(encoding), "nothing: the field is missing")
        elif not encoder.accepts(encoding, record[encoding.column]):
            problem = Problem(row, encoding.column, encoder.expected(encoding), _shown(record[encoding.column]))
        else:
            continue
        problems.setdefault(encoding.column, problem)
    return list(problems.values())


def _shown(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
