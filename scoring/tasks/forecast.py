"""Labels that are numbers of later times, predicted as a number with bounds."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.predictions import LOWER, SCALE, UPPER, VALUE, values
from scoring.tasks.regression import Regression
from scoring.tasks.task import Classes

_COLUMNS = {"value": VALUE, "lower": LOWER, "upper": UPPER, "scale": SCALE}


class Forecast(Regression):
    """Forecasting; a row is a series at an origin and one day of the horizon, a prediction (rows, 4) numbers.

    They are the value, its bounds and the scale of the row, see `scoring.predictions`.
    """

    name: ClassVar[str] = "forecast"
    fields: ClassVar[tuple[str, ...]] = tuple(_COLUMNS)
    default_fields: ClassVar[int] = 4
    declares_forecast: ClassVar[bool] = True
    valid_prediction: ClassVar[str] = "numbers within their bounds"
    explained_value: ClassVar[str] = "the forecast"

    def width(self, classes: int) -> int:
        return 4

    def predict(self, pipeline: Any, inputs: Any) -> Floats:
        return np.asarray(pipeline.predict(inputs), dtype=np.float64)

    def samples(self, classes: int) -> Floats:
        return np.asarray([[0.0, -1.0, 1.0, 1.0], [0.5, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])

    def columns(self, field: str, predicted: Floats, classes: Classes, threshold: float) -> dict[str, list[Any]]:
        return {field: predicted[:, _COLUMNS[field]].tolist()}

    def count_valid(self, predicted: Floats, labels: npt.NDArray[Any]) -> int:
        if predicted.ndim != 2 or predicted.shape != (len(labels), 4):
            return 0
        value, lower, upper, scale = predicted.T
        finite = np.isfinite(predicted).all(axis=1) & np.isfinite(labels)
        return int(np.sum(finite & (lower <= value) & (value <= upper) & (scale > 0)))

    def explained(self, predicted: Floats) -> Floats:
        return values(predicted).reshape(-1, 1)


FORECAST = Forecast()
