"""MLflow interface of a scorer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from scoring.contract import ContractViolation, Problem, format_value
from scoring.hooks import Record, Response
from scoring.scorer import Scorer

EXACT = 2**53  # below it, every integer is a float


class ScoringModel(PythonModel):
    """Predicts through MLflow; the model server calls `respond`, which needs no pandas."""

    scorer: Scorer

    def load_context(self, context: PythonModelContext) -> None:
        self.scorer = Scorer.load(context.artifacts)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Responses for a frame of raw columns, one row each.

        Raises:
            ContractViolation: a row breaks the input contract, or pandas made an integer a float and changed it.
        """
        records = records_of(model_input)
        integers = [name for name, kind in self.scorer.hooks.request_fields.items() if kind == "integer"]
        return pd.DataFrame(self.respond(with_integers(records, integers)))

    def respond(self, records: Sequence[Record]) -> list[Response]:
        """Responses for records from JSON, without pandas."""
        return self.scorer.respond(records)


def with_integers(records: Sequence[Record], names: Sequence[str]) -> list[Record]:
    """The records with whole numbers in these fields as integers: pandas makes them floats beside a missing value.

    Raises:
        ContractViolation: a float is so large that it may be another integer than the caller's.
    """
    problems = [
        Problem(row, name, "an integer: as a float it loses digits. Use the type Int64", format_value(record[name]))
        for row, record in enumerate(records)
        for name in names
        if isinstance(record.get(name), float) and abs(record[name]) >= EXACT
    ]
    if problems:
        raise ContractViolation(problems)
    return [{**record, **{name: _as_integer(record[name]) for name in names if name in record}} for record in records]


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as records; every missing value of pandas becomes None."""
    columns = {str(name): frame[name].tolist() for name in frame.columns}
    rows = zip(*columns.values(), strict=True)
    return [{name: _plain(value) for name, value in zip(columns, row, strict=True)} for row in rows]


def _as_integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(value: Any) -> Any:
    """A value as JSON has it: a missing one is None, a number is Python's."""
    if pd.api.types.is_scalar(value) and pd.isna(value):  # `isna` of a list has a result for each element
        return None
    return value.item() if isinstance(value, np.generic) else value
