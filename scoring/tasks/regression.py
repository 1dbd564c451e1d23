"""Labels that are numbers, predicted as a number."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.tasks.task import Classes, Task


class Regression(Task):
    """Regression; a prediction is (rows,) numbers."""

    name: ClassVar[str] = "regression"
    fields: ClassVar[tuple[str, ...]] = ("value",)
    predicts_classes = False
    valid_prediction: ClassVar[str] = "numbers"
    target_type = "continuous"
    explained_value: ClassVar[str] = "the prediction"

    def classes(self, declared: Classes) -> Classes:
        return ()

    def width(self, classes: int) -> int:
        return 1

    def predict(self, pipeline: Any, inputs: Any) -> Floats:
        return np.asarray(pipeline.predict(inputs), dtype=np.float64)

    def samples(self, classes: int) -> Floats:
        return np.asarray([0.0, 0.5, 1.0])

    def columns(self, field: str, predicted: Floats, classes: Classes, threshold: float) -> dict[str, list[Any]]:
        return {field: predicted.tolist()}

    def count_valid(self, predicted: Floats, labels: npt.NDArray[Any]) -> int:
        if predicted.ndim != 1 or predicted.shape != labels.shape:
            return 0
        return int(np.sum(np.isfinite(predicted) & np.isfinite(labels)))

    def summarise(self, labels: npt.NDArray[Any], classes: Classes) -> str:
        return f"mean {labels.mean():,.4g}"

    def explained(self, predicted: Floats) -> Floats:
        return predicted.reshape(-1, 1)

    def rarest(self, labels: npt.NDArray[Any]) -> int:
        return len(labels)

    def random_folds(self, folds: int, seed: int) -> Any:
        from sklearn.model_selection import KFold

        return KFold(folds, shuffle=True, random_state=seed)


REGRESSION = Regression()
