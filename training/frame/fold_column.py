"""The fold column of a use case with `split.by: column`: its own folds, and its own holdout."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakehouse.wording import number_of
from training.frame.refusals import FrameRefused
from training.use_case.split import SplitPlan

_TYPES = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)
_SHOWN = 10


def fold_values(rows: pa.Table, plan: SplitPlan, table: str) -> npt.NDArray[Any] | None:
    """(rows,) the value of each row's fold as text; None without a fold column.

    Raises:
        FrameRefused: the column is of another type, a row has no value, no row is in the holdout, or the other rows
            are all in one fold.
    """
    if plan.column is None:
        return None
    column, name = rows[plan.column], f"{table}.{plan.column}"
    if not any(is_type(column.type) for is_type in _TYPES):
        raise FrameRefused.fold_column(name, f"is of type {column.type}", "Cast it to an integer or to text.")
    if column.null_count:
        problem = f"is NULL in {column.null_count:,} of {rows.num_rows:,} rows"
        raise FrameRefused.fold_column(name, problem, "Give every row a fold, or the value of the holdout.")
    present = sorted(column.unique().cast(pa.string()).to_pylist())
    folds = [value for value in present if value != plan.holdout_text]
    shown = ", ".join(present[:_SHOWN]) + (f" and {len(present) - _SHOWN} more" if len(present) > _SHOWN else "")
    if len(folds) == len(present):
        problem = f"has no row with the value of the holdout, {plan.holdout_text}; it has {shown}"
        raise FrameRefused.fold_column(name, problem, "Set split.holdout_value to the value of the holdout's rows.")
    if len(folds) < 2:
        problem = f"has {number_of('fold', len(folds))} beside the holdout: {shown}"
        hint = "Two folds are needed: each validates a model that is fitted on the other folds."
        raise FrameRefused.fold_column(name, problem, hint)
    return np.asarray(column.cast(pa.string()).to_pylist(), dtype=np.str_)
