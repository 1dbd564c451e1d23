"""Labels as learners take them, and when there are enough of them to learn from."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.evaluation.metrics import Task
from training.frame.frame import Classes, FrameRefused, TrainingFrame

BINARY: Classes = (0, 1)
SHOWN = 10
NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)


def places(rows: pa.Table, column: str, task: Task, classes: Classes, where: str) -> npt.NDArray[Any]:
    """(rows,) the place of each row's label among the classes; of a regression the label itself.

    Raises:
        FrameRefused: a label is missing, is none of the classes, or no finite number.
    """
    labels = rows[column]
    if task == "regression":
        return _numbers(labels, where)
    found = sorted(labels.unique().to_pylist(), key=str)
    if set(found) != set(classes):
        raise FrameRefused.labels(_needed(classes), found[:SHOWN], where)
    lookup = {label: place for place, label in enumerate(classes)}
    if classes == BINARY:
        return np.asarray(labels.to_numpy(), dtype=np.int64)
    return np.asarray([lookup[label] for label in labels.to_pylist()], dtype=np.int64)


def require_learnable(frame: TrainingFrame, where: str) -> None:
    """Refuse rows that a model cannot be fitted on: every class must be there, or numbers that differ.

    Raises:
        FrameRefused: they are not.
    """
    found = np.unique(frame.y)
    if frame.task == "regression":
        if len(found) < 2:
            raise FrameRefused.labels("a regression needs labels that differ", found.tolist(), where)
    elif len(found) < len(frame.classes):
        raise FrameRefused.labels(_needed(frame.classes), [frame.classes[place] for place in found], where)


def require_measurable(frame: TrainingFrame, where: str) -> None:
    """Refuse rows that a model cannot be measured on: some of at least two classes, or numbers that differ.

    Raises:
        FrameRefused: they are not.
    """
    found = np.unique(frame.y).tolist()
    if len(found) < 2:
        shown = found if frame.task == "regression" else [frame.classes[place] for place in found]
        raise FrameRefused.labels("a metric needs labels that differ", shown, where)


def _needed(classes: Classes) -> str:
    return f"the labels are {_told(classes)}, each of them and no other"


def _told(classes: Classes) -> str:
    return ", ".join(map(str, classes))


def _numbers(labels: pa.ChunkedArray, where: str) -> npt.NDArray[np.float64]:
    if not (
        pa.types.is_integer(labels.type) or pa.types.is_floating(labels.type) or pa.types.is_decimal(labels.type)
    ):
        raise FrameRefused.labels("labels of a regression are numbers", str(labels.type), where)
    found = np.asarray(labels.cast(pa.float64()).to_numpy(), dtype=np.float64)
    if missing := int((~np.isfinite(found)).sum()):
        raise FrameRefused.labels(
            "labels of a regression are finite", f"{len(found) - missing} of {len(found)}", where
        )
    return found
