"""The input contract: check of request records; every violation names its row and field."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lakehouse.errors import LakehouseError, nearest
from lakehouse.wording import number_of
from scoring.encoder import Encoder
from scoring.encodings import Encoding

MISSING_FIELD = "missing"


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
    """A refused request.

    Attributes:
        problems: the first `SHOWN` wrong values.
        found: number of wrong values.
    """

    SHOWN = 20

    def __init__(self, problems: list[Problem]) -> None:
        self.found = len(problems)
        self.problems = problems[: self.SHOWN]
        first = self.problems[0]
        verb = "breaks" if self.found == 1 else "break"
        super().__init__(
            f"{number_of('value', self.found)} {verb} the input contract; first: row {first.row}, "
            f"field '{first.field}': expected {first.expected}, got {first.got}"
        )


def check(
    records: Sequence[Mapping[str, Any]], encoder: Encoder, encodings: Sequence[Encoding] | None = None
) -> None:
    """Check records against the encoder, or some of its encodings: every field, no other, accepted values only.

    A nullable field must still be present: a forgotten field does not mean that its value is unknown.

    Raises:
        ContractViolation: with every value that is wrong.
    """
    encodings = encoder.encodings if encodings is None else encodings
    known = {encoding.column for encoding in encodings}
    problems = [
        problem
        for row, record in enumerate(records)
        for problem in [*unknown_fields(record, known, row), *_wrong_values(row, record, encoder, encodings)]
    ]
    if problems:
        raise ContractViolation(problems)


def unknown_fields(record: Mapping[str, Any], known: Collection[str], row: int = 0) -> list[Problem]:
    """One problem for each field of the record that is not known."""
    return [
        Problem(row, str(field), f"no such field. {nearest(str(field), sorted(known))}", format_value(record[field]))
        for field in record
        if field not in known
    ]


def format_value(value: object) -> str:
    """A value in at most 60 characters."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _wrong_values(
    row: int, record: Mapping[str, Any], encoder: Encoder, encodings: Sequence[Encoding]
) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for encoding in encodings:
        if encoding.column not in record:
            got = MISSING_FIELD
        elif not encoding.accepts(record[encoding.column], encoder):
            got = format_value(record[encoding.column])
        else:
            continue
        problems.setdefault(encoding.column, Problem(row, encoding.column, encoding.expected(encoder), got))
    return list(problems.values())
