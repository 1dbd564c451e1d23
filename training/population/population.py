"""The population of a version, and its file: `population.json` among the artifacts."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lakehouse.arrays import Floats
from training.population.bins import CategoryBins, ColumnBins, NumberBins

FILE = "population.json"  # name of the artifact
MOMENTS = ("rows", "absolute", "squares", "fourth")  # sums over labelled rows of a regression: |e|, e², e⁴


@dataclass(frozen=True)
class CountedColumn:
    """A monitored column with its counts.

    Attributes:
        bins: bins of the column.
        counts: (bins.size + 3,) see `ColumnBins`.
        merged: True if missing and unknown values cannot be told apart in the feature table; both count as missing.
    """

    bins: ColumnBins
    counts: Floats
    merged: bool = False


@dataclass(frozen=True)
class CountedSlice:
    """Counts of the inputs and predictions within each category of an input.

    Attributes:
        column: the raw column that divides the rows.
        bins: its categories.
        inputs: (categories, bins.size + 3) counts by input.
        prediction: the same of the predictions; None where the reference is the training rows.
    """

    column: str
    bins: ColumnBins
    inputs: Mapping[str, Floats]
    prediction: Floats | None = None


@dataclass(frozen=True)
class Population:
    """Counts of a version's inputs, predictions and labels.

    Attributes:
        inputs: by raw column, on the reference rows.
        slices: the declared slices, on the reference rows.
        response_field: response field with the prediction: `probability`, `value` or `label`.
        prediction: its column, on the holdout; None if no response field is known, as with some hooks.
        outcomes: on the holdout, (labels, bins) rows by label and bin of the prediction, or sums of `MOMENTS`.
        threshold: decision threshold of a binary task.
        classes: labels in the order of `outcomes`.
        training: the inputs on the training rows, where those are not the reference; shown beside a prediction.
        losses: of forecasts on the holdout, the sums of `forecast_losses.LOSS_SUMS` of each loss. Empty for other
            tasks, and if a response lacks a number of the forecast.
    """

    inputs: Mapping[str, CountedColumn]
    slices: Mapping[str, CountedSlice] = field(default_factory=dict)
    response_field: str = ""
    prediction: CountedColumn | None = None
    outcomes: Floats = field(default_factory=lambda: np.zeros(0))
    threshold: float = 0.5
    classes: tuple[int | str, ...] = ()
    training: Mapping[str, CountedColumn] = field(default_factory=dict)
    losses: Mapping[str, Floats] = field(default_factory=dict)

    def to_json(self) -> str:
        """The content of the file."""
        return json.dumps(
            {
                "inputs": {name: _column_json(column) for name, column in self.inputs.items()},
                "slices": {name: _slice_json(each) for name, each in self.slices.items()},
                "response_field": self.response_field,
                "prediction": None if self.prediction is None else _column_json(self.prediction),
                "outcomes": self.outcomes.tolist(),
                "threshold": self.threshold,
                "classes": list(self.classes),
                "training": {name: _column_json(column) for name, column in self.training.items()},
                "losses": {name: sums.tolist() for name, sums in self.losses.items()},
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Population":
        """Read the content of the file; unknown keys of a later release are ignored."""
        found: dict[str, Any] = json.loads(text)
        prediction = found.get("prediction")
        return cls(
            {name: _column(each) for name, each in found["inputs"].items()},
            {name: _slice(each) for name, each in found.get("slices", {}).items()},
            found.get("response_field", ""),
            None if prediction is None else _column(prediction),
            np.asarray(found.get("outcomes", []), dtype=np.float64),
            found.get("threshold", 0.5),
            tuple(found.get("classes", ())),
            {name: _column(each) for name, each in found.get("training", {}).items()},
            {name: _array(sums) for name, sums in found.get("losses", {}).items()},
        )

    def save(self, folder: Path) -> dict[str, str]:
        """Write the file into an existing folder; return its path by name."""
        (folder / FILE).write_text(self.to_json(), encoding="utf-8")
        return {FILE: str(folder / FILE)}


def _column_json(column: CountedColumn) -> dict[str, Any]:
    return {"bins": _bins_json(column.bins), "counts": column.counts.tolist(), "merged": column.merged}


def _column(found: Mapping[str, Any]) -> CountedColumn:
    return CountedColumn(_bins(found["bins"]), _array(found["counts"]), found.get("merged", False))


def _slice_json(slice_: CountedSlice) -> dict[str, Any]:
    return {
        "column": slice_.column,
        "bins": _bins_json(slice_.bins),
        "inputs": {name: counts.tolist() for name, counts in slice_.inputs.items()},
        "prediction": None if slice_.prediction is None else slice_.prediction.tolist(),
    }


def _slice(found: Mapping[str, Any]) -> CountedSlice:
    prediction = found.get("prediction")
    inputs = {name: _array(counts) for name, counts in found["inputs"].items()}
    return CountedSlice(
        found["column"], _bins(found["bins"]), inputs, None if prediction is None else _array(prediction)
    )


def _array(numbers: Any) -> Floats:
    return np.asarray(numbers, dtype=np.float64)


def _bins_json(bins: ColumnBins) -> dict[str, Any]:
    return asdict(bins)  # type: ignore[call-overload,no-any-return]  # both kinds are data classes


def _bins(found: Mapping[str, Any]) -> ColumnBins:
    if "edges" not in found:
        return CategoryBins(tuple(found["values"]), found["own"])
    return NumberBins(
        tuple(found["edges"]),
        found["low"],
        found["high"],
        tuple(found["centres"]),
        found.get("discrete", False),
        found.get("of_texts", False),
    )
