"""Any other MLflow model: its signature is the contract, and pandas the way in and out."""

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.utils.proto_json_utils import NumpyEncoder, dataframe_from_parsed_json, parse_tf_serving_input

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.responses import serialise
from deployment.model_server.http.scoring_request import RequestRecord, ScoringRequest

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PyfuncModel:
    """Answers through `predict`; MLflow enforces the signature."""

    loaded: "PyFuncModel"

    def predictions(self, request: ScoringRequest) -> bytes:
        try:
            answers = self.loaded.predict(self._input(request), params=self._params(request))
        except MlflowException as err:
            raise ApiError.bad_request(
                f"The request does not fit the model's signature: {err.message}"[:2000]
            ) from err
        except ApiError:
            raise
        except Exception as err:
            # Without a contract of its own the model fails at what does not fit it: nobody else can tell.
            LOG.warning("a model failed at a request", exc_info=True)
            message = (
                "The model failed at this request. Check that its input fits the model; the server's log has more."
            )
            raise ApiError.bad_request(message) from err
        return serialise({"predictions": jsonable(answers)})

    def warm_up(self) -> None:
        """Predict the input example, if there is one; a bad example does not keep a model from being served."""
        if self.loaded.input_example is None:
            return
        try:
            self.loaded.predict(self.loaded.input_example)
        except Exception:
            LOG.warning("a model failed at its own input example", exc_info=True)

    def _params(self, request: ScoringRequest) -> dict[str, Any] | None:
        """The params of a request; MLflow holds their types to the signature, and would drop an unknown one."""
        schema = self.loaded.metadata.get_params_schema()  # type: ignore[no-untyped-call]
        known = [param.name for param in schema.params] if schema else []
        if unknown := sorted(request.params.keys() - set(known)):
            message = f"The model takes no params {', '.join(unknown)}; it takes {', '.join(known) or 'none'}."
            raise ApiError.bad_request(message[:500])
        return dict(request.params) or None

    def _input(self, request: ScoringRequest) -> Any:
        schema = self.loaded.metadata.get_input_schema()  # type: ignore[no-untyped-call]
        if request.rows is None:
            return parse_tf_serving_input({"instances": request.tensor}, schema)  # type: ignore[no-untyped-call]
        check_fields(request.rows)
        return dataframe_from_parsed_json(request.rows, "records", schema)  # type: ignore[no-untyped-call]


def check_fields(rows: list[RequestRecord]) -> None:
    """Every row has the fields of the first; pandas would fill what is missing.

    Raises:
        ApiError: with row and field (400).
    """
    first = rows[0].keys()
    for number, row in enumerate(rows):
        if different := sorted(first ^ row.keys()):
            field = different[0]
            expected, got = ("a value", "none") if field in first else ("no such field, as in row 0", "one")
            raise ApiError.wrong_value(number, field, expected, got)


def jsonable(answers: Any) -> Any:
    """What a model answers as JSON values; NaN, which pandas uses for missing, is null."""
    if isinstance(answers, pd.DataFrame):
        answers = answers.to_dict(orient="records")
    elif isinstance(answers, pd.Series | np.ndarray):
        answers = answers.tolist()
    if isinstance(answers, dict):
        return {str(key): jsonable(value) for key, value in answers.items()}
    if isinstance(answers, list | tuple):
        return [jsonable(value) for value in answers]
    return _scalar(answers)


def _scalar(answer: Any) -> Any:
    if answer is None or answer is pd.NaT or answer is pd.NA:
        return None
    if isinstance(answer, np.generic):
        answer = answer.item()
    if isinstance(answer, float):
        return answer if math.isfinite(answer) else None
    return answer if isinstance(answer, bool | int | str) else NumpyEncoder().default(answer)  # type: ignore[no-untyped-call]
