"""Labels as arrays, and checks that they suffice to fit and to measure a model."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scoring.tasks import Classes, Task
from training.frame.frame import TrainingFrame
from training.frame.refusals import FrameRefused

ZERO_AND_ONE: Classes = (0, 1)
SHOWN = 10
NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)


def label_array(rows: pa.Table, column: str, task: Task, classes: Classes, where: str) -> npt.NDArray[Any]:
    """(rows,) the index of each row's label among the classes; for a regression the label.

    Raises:
        FrameRefused: a label is missing, is not among the classes, or is not a finite number.
    """
    labels = rows[column]
    if not task.predicts_classes:
        return _numbers(labels, task, where)
    present = sorted(labels.unique().to_pylist(), key=str)
    if set(present) != set(classes):
        raise FrameRefused.labels(_needed(classes), present[:SHOWN], where)
    indices = {label: index for index, label in enumerate(classes)}
    if classes == ZERO_AND_ONE:
        return np.asarray(labels.to_numpy(), dtype=np.int64)
    return np.asarray([indices[label] for label in labels.to_pylist()], dtype=np.int64)


def require_learnable(frame: TrainingFrame, where: str) -> None:
    """Refuse rows that lack a class, or whose numbers are all equal: no model can be fitted on them.

    Raises:
        FrameRefused: a class is missing, or the numbers do not differ.
    """
    present = np.unique(frame.y)
    if not frame.task.predicts_classes:
        if len(present) < 2:
            raise FrameRefused.labels(f"a {frame.task} needs labels that differ", present.tolist(), where)
    elif len(present) < len(frame.classes):
        raise FrameRefused.labels(_needed(frame.classes), [frame.classes[index] for index in present], where)


def require_measurable(frame: TrainingFrame, where: str) -> None:
    """Refuse rows of a single class or a single number: no model can be measured on them.

    Raises:
        FrameRefused: the labels do not differ.
    """
    present = np.unique(frame.y).tolist()
    if len(present) < 2:
        shown = [frame.classes[index] for index in present] if frame.task.predicts_classes else present
        raise FrameRefused.labels("a metric needs labels that differ", shown, where)


def _needed(classes: Classes) -> str:
    return f"the labels are {', '.join(map(str, classes))}, each of them and no other"


def _numbers(labels: pa.ChunkedArray, task: Task, where: str) -> npt.NDArray[np.float64]:
    if not any(is_number(labels.type) for is_number in NUMBERS):
        raise FrameRefused.labels(f"labels of a {task} are numbers", str(labels.type), where)
    numbers = np.asarray(labels.cast(pa.float64()).to_numpy(), dtype=np.float64)
    if missing := int((~np.isfinite(numbers)).sum()):
        raise FrameRefused.labels(
            f"labels of a {task} are finite", f"{len(numbers) - missing} of {len(numbers)}", where
        )
    return numbers
