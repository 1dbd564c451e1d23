"""Any other MLflow model: its signature is the contract; input and output go through pandas."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.utils.proto_json_utils import NumpyEncoder, dataframe_from_parsed_json, parse_tf_serving_input

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.foreign_text import without_paths
from deployment.model_server.http.responses import serialise
from deployment.model_server.http.scoring_request import RequestRecord, ScoringRequest

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PyfuncModel:
    """Predicts through MLflow, which enforces the signature."""

    loaded: "PyFuncModel"

    def predictions(self, request: ScoringRequest) -> bytes:
        try:
            predicted = self.loaded.predict(self._input(request), params=self._params(request))
        except MlflowException as err:
            raise ApiError.bad_request(
                f"The request does not fit the model's signature: {without_paths(err.message)}"[:2000]
            ) from err
        except ApiError:
            raise
        except Exception as err:
            # A model without a contract fails on unsuitable input. The server cannot tell that from a defect.
            LOG.warning("a model failed on a request", exc_info=True)
            message = (
                "The model failed on this request. Check that its input fits the model; the server's log has details."
            )
            raise ApiError.bad_request(message) from err
        return serialise({"predictions": jsonable(predicted)})

    def warm_up(self) -> None:
        """Predict the input example, if the model has one. The model is served even if its example fails."""
        if self.loaded.input_example is None:
            return
        try:
            self.loaded.predict(self.loaded.input_example)
        except Exception:
            LOG.warning("a model failed on its own input example", exc_info=True)

    def _params(self, request: ScoringRequest) -> dict[str, Any] | None:
        """The params of a request. MLflow checks their types, but would silently drop unknown names."""
        schema = self.loaded.metadata.get_params_schema()  # type: ignore[no-untyped-call]
        known = [param.name for param in schema.params] if schema else []
        if unknown := sorted(request.params.keys() - set(known)):
            message = f"Unknown params {', '.join(unknown)}; the model takes {', '.join(known) or 'none'}."
            raise ApiError.bad_request(message[:500])
        return dict(request.params) or None

    def _input(self, request: ScoringRequest) -> Any:
        schema = self.loaded.metadata.get_input_schema()  # type: ignore[no-untyped-call]
        if request.rows is None:
            return parse_tf_serving_input({"instances": request.tensor}, schema)  # type: ignore[no-untyped-call]
        check_fields(request.rows)
        return dataframe_from_parsed_json(list(request.rows), "records", schema)  # type: ignore[no-untyped-call]


def check_fields(rows: Sequence[RequestRecord]) -> None:
    """Check that every row has the fields of the first one; pandas would fill missing fields.

    Raises:
        ApiError: with row and field (400).
    """
    first = rows[0].keys()
    for number, row in enumerate(rows):
        if different := sorted(first ^ row.keys()):
            field = different[0]
            expected, got = ("a value", "none") if field in first else ("no such field, like row 0", "one")
            raise ApiError.wrong_value(number, field, expected, got)


def jsonable(output: Any) -> Any:
    """Convert the output of a model to JSON values. NaN, which pandas uses for missing values, becomes null."""
    if isinstance(output, pd.DataFrame):
        output = output.to_dict(orient="records")
    elif isinstance(output, pd.Series | np.ndarray):
        output = output.tolist()
    if isinstance(output, dict):
        return {str(key): jsonable(value) for key, value in output.items()}
    if isinstance(output, list | tuple):
        return [jsonable(value) for value in output]
    return _scalar(output)


def _scalar(value: Any) -> Any:
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int | str) else NumpyEncoder().default(value)  # type: ignore[no-untyped-call]
