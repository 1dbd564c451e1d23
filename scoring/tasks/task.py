"""The interface of a machine-learning task: everything that differs between tasks.

Training, batch, endpoint and gate call this object; none of them compares names of tasks. Every command reads the
tasks, so methods import heavy libraries only when they are called.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy.typing as npt

from lakehouse.arrays import Floats

Classes = tuple[int | str, ...]


class Task(ABC):
    """A task. Tasks hold no state: two objects of one class are equal, also after pickling.

    Attributes:
        name: name in use cases, in registered versions and in the table of report sections.
        fields: fields that a response may have.
        default_fields: count of the first fields, which a response has by default.
        predicts_classes: True if labels are classes. Class weights, stratified folds and decisions exist only then.
        declares_classes: True if the use case lists the classes. Otherwise they are fixed, or labels are numbers.
        declares_forecast: True if the use case names the columns of a forecast. Models then learn labels in units of
            each row's scale, above its level (`scoring.forecasts.forecaster`).
        has_threshold: True if the use case may tune a decision threshold and calibrate probabilities.
        valid_prediction: a valid prediction in words, for the verdict of the gate.
        target_type: type of the labels in scikit-learn's terms.
        has_mean_label: True if the mean of the labels is meaningful.
        explained_value: the value that Shapley values add up to, as a chart labels its axis.
    """

    name: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]
    predicts_classes: ClassVar[bool]
    declares_classes: ClassVar[bool] = False
    declares_forecast: ClassVar[bool] = False
    default_fields: ClassVar[int] = 2
    has_threshold: ClassVar[bool] = False
    valid_prediction: ClassVar[str]
    target_type: ClassVar[str]
    has_mean_label: ClassVar[bool] = True
    explained_value: ClassVar[str]

    @abstractmethod
    def classes(self, declared: Classes) -> Classes:
        """The classes in the order of a model's columns; empty for numbers. `declared` is the use case's list."""

    @abstractmethod
    def width(self, classes: int) -> int:
        """Count of numbers in one prediction."""

    @abstractmethod
    def predict(self, pipeline: Any, inputs: Any) -> Floats:
        """Predictions of a fitted pipeline: (rows,) or (rows, classes)."""

    @abstractmethod
    def samples(self, classes: int) -> Floats:
        """Predictions of every kind that a model may make."""

    @abstractmethod
    def columns(self, field: str, predicted: Floats, classes: Classes, threshold: float) -> Mapping[str, list[Any]]:
        """Columns of a response field: a value for each prediction, by column name."""

    @abstractmethod
    def count_valid(self, predicted: Floats, labels: npt.NDArray[Any]) -> int:
        """Count of rows with a valid label and a valid prediction; 0 for predictions of another shape."""

    @abstractmethod
    def summarise(self, labels: npt.NDArray[Any], classes: Classes) -> str:
        """A summary of the labels for the console."""

    @abstractmethod
    def explained(self, predicted: Floats) -> Floats:
        """(rows, outputs) the values that Shapley values add up to."""

    @abstractmethod
    def rarest(self, labels: npt.NDArray[Any]) -> int:
        """Count of rows of the rarest label; for numbers, of all rows."""

    @abstractmethod
    def random_folds(self, folds: int, seed: int) -> Any:
        """A scikit-learn splitter that shuffles rows and ignores time."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<task {self.name}>"
