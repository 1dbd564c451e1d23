"""MLflow interface of a scorer."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from scoring.hooks import Record, Response
from scoring.scorer import Scorer


class ScoringModel(PythonModel):
    """Predicts through MLflow; the model server calls `respond`, which needs no pandas."""

    scorer: Scorer

    def load_context(self, context: PythonModelContext) -> None:
        self.scorer = Scorer.load(context.artifacts)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Responses for a frame of raw columns, one row each."""
        return pd.DataFrame(self.respond(records_of(model_input)))

    def respond(self, records: Sequence[Record]) -> list[Response]:
        """Responses for records from JSON, without pandas."""
        return self.scorer.respond(records)


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as records; every missing value of pandas becomes None."""
    columns = {str(name): frame[name].tolist() for name in frame.columns}
    rows = zip(*columns.values(), strict=True)
    return [{name: _or_none(value) for name, value in zip(columns, row, strict=True)} for row in rows]


def _or_none(value: Any) -> Any:
    # `isna` of a list returns one result for each element.
    return None if pd.api.types.is_scalar(value) and pd.isna(value) else value
