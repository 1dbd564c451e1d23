"""Splits: the declaration of a use case, and the kinds of split it chooses from.

With `time` and `window` the holdout is the end of the rows. With `group` and `stratified` it is the entities whose
hash falls into its share. An entity stays on its side while the tables grow, so that no later version trains on it.
With `column` the label table says the fold of each row.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from lakehouse.arrays import Mask, Times
from lakehouse.declaration import Declaration

SplitBy = Literal["time", "window", "group", "stratified", "column"]
FoldIndices = Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]  # training and validation rows of each fold

HOLDOUT = "holdout"  # default value of the holdout's rows in a fold column
_HASH_KEY = "holdout entities"  # 16 characters; the hash depends on them


class SplitPlan(Declaration):
    """The holdout, which no trial sees, and the folds of the other rows.

    Attributes:
        folds: number of folds.
        by: `time`: the last rows are the holdout, and each fold validates on rows later than its training rows;
            `window`: one fold, as long as the holdout and just before it; `group`: all rows of an entity are on one
            side, whatever their time; `stratified`: the same, and all folds have the classes in equal shares;
            `column`: a column of the label table has the fold of each row, or the value of the holdout.
        holdout: share of the rows; with `group` and `stratified`, of the entities.
        column: with `column`, the column of the label table. Its values are integers or texts, each a fold.
        holdout_value: with `column`, the value of the holdout's rows.
        gap: days between training rows and the rows that validate them, and before the holdout. The training rows in
            between are dropped: their labels may look into the time of the later rows.
    """

    by: SplitBy = "time"
    column: str | None = Field(default=None, min_length=1)
    holdout_value: int | str | bool = HOLDOUT
    holdout: float = Field(default=0.15, gt=0, lt=0.5)
    folds: int = Field(default=4, ge=1, le=20)
    gap: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _folds_fit_the_kind(self) -> Self:
        if self.folds < self.kind.min_folds:
            raise ValueError(
                f"split by {self.by} needs at least {self.kind.min_folds} folds: each validates a model that is "
                "fitted on the other folds"
            )
        if self.kind.is_one_fold and "folds" in self.model_fields_set:
            raise ValueError(f"split by {self.by} has exactly one fold: remove `folds`, or use by: time")
        if self.gap is not None and not self.kind.in_time:
            raise ValueError(f"split by {self.by} is not by time, so it has no gap: remove `gap`, or use by: time")
        return self

    @model_validator(mode="after")
    def _column_fits_the_kind(self) -> Self:
        if self.by != "column":
            if self.column is not None or self.holdout_value != HOLDOUT:
                raise ValueError(
                    f"split by {self.by} reads no column: use by: column, or remove `column` and its value"
                )
        elif self.column is None:
            raise ValueError("split by column needs `column`: the column of the label table with the folds")
        elif unused := sorted({"holdout", "folds"} & self.model_fields_set):
            raise ValueError(f"split by column reads folds and holdout from {self.column}: remove `{unused[0]}`")
        return self

    @property
    def holdout_text(self) -> str:
        """The value of the holdout's rows as text, as the fold column is read."""
        value = self.holdout_value
        return str(value).lower() if isinstance(value, bool) else str(value)

    @property
    def kind(self) -> "SplitKind":
        """The kind of split that `by` names."""
        return SPLIT_KINDS[self.by]

    @property
    def in_time(self) -> bool:
        """True if validation rows and the holdout are later than the training rows."""
        return self.kind.in_time


class SplitRows(Protocol):
    """Rows in order of time; every array is (rows,). `fold_values` exists where the plan has a column."""

    @property
    def times(self) -> Times: ...

    @property
    def keys(self) -> npt.NDArray[Any]: ...

    @property
    def y(self) -> npt.NDArray[Any]: ...

    @property
    def fold_values(self) -> npt.NDArray[Any] | None: ...

    def __len__(self) -> int: ...


class SplitKind(ABC):
    """One way to cut the holdout and the folds.

    Attributes:
        in_time: True if validation rows and the holdout are later than the training rows.
        needs_classes: True if folds are drawn by class, which a regression lacks.
        min_folds: smallest number of folds.
        is_one_fold: True if the number of folds cannot be chosen.
        draws_entities: True if the holdout is the entities whose hash falls into its share.
        order: description of the folds, as in "4 folds in order of time".
        training_rows: description of the training rows of a fold.
    """

    in_time: ClassVar[bool]
    needs_classes: ClassVar[bool] = False
    min_folds: ClassVar[int] = 1
    is_one_fold: ClassVar[bool] = False
    draws_entities: ClassVar[bool] = False
    order: ClassVar[str]
    training_rows: ClassVar[str]

    @abstractmethod
    def holdout(self, rows: SplitRows, plan: SplitPlan) -> Mask:
        """(rows,) True for rows of the holdout."""

    @abstractmethod
    def folds(self, rows: SplitRows, plan: SplitPlan, seed: int) -> FoldIndices:
        """Training and validation rows of each fold."""

    @abstractmethod
    def holdout_rows(self, count: int) -> str:
        """Description of a holdout of `count` rows."""


class ByTime(SplitKind):
    """Each fold validates on the block of rows after its training rows (rolling origin)."""

    in_time = True
    order = "in order of time"
    training_rows = "earlier rows"

    def holdout(self, rows: SplitRows, plan: SplitPlan) -> Mask:
        return after(rows, plan.holdout)

    def folds(self, rows: SplitRows, plan: SplitPlan, seed: int) -> FoldIndices:
        count = plan.folds
        edges = [rows.times[len(rows) * i // (count + 1)] for i in range(1, count + 1)]
        ends = [*edges[1:], rows.times[-1] + np.timedelta64(1, "us")]
        for start, end in zip(edges, ends, strict=True):
            yield rows.times < start, (rows.times >= start) & (rows.times < end)

    def holdout_rows(self, count: int) -> str:
        return f"the last {count:,} rows"


class ByWindow(ByTime):
    """One fold, which validates on the same share of the rows as the holdout."""

    is_one_fold = True

    def folds(self, rows: SplitRows, plan: SplitPlan, seed: int) -> FoldIndices:
        block = after(rows, plan.holdout)
        yield ~block, block


class ByGroup(SplitKind):
    """All rows of an entity are in one fold."""

    in_time = False
    draws_entities = True
    min_folds = 2
    order = "that share no entity"
    training_rows = "the other folds"

    def holdout(self, rows: SplitRows, plan: SplitPlan) -> Mask:
        return hashed_below(rows.keys, plan.holdout)

    def folds(self, rows: SplitRows, plan: SplitPlan, seed: int) -> FoldIndices:
        import pandas as pd
        from sklearn.model_selection import GroupKFold

        groups = pd.factorize(rows.keys.astype(str), sort=True)[0]
        return _sorted(GroupKFold(plan.folds, shuffle=True, random_state=seed).split(rows.keys, groups=groups))

    def holdout_rows(self, count: int) -> str:
        return f"{count:,} rows of other entities"


class Stratified(ByGroup):
    """Every fold has the classes in the shares of all rows."""

    needs_classes = True
    order = "stratified by label"

    def folds(self, rows: SplitRows, plan: SplitPlan, seed: int) -> FoldIndices:
        from sklearn.model_selection import StratifiedKFold

        return _sorted(StratifiedKFold(plan.folds, shuffle=True, random_state=seed).split(rows.keys, rows.y))


class ByColumn(SplitKind):
    """The label table says the fold of each row."""

    in_time = False
    order = "of the fold column"
    training_rows = "the other folds"

    def holdout(self, rows: SplitRows, plan: SplitPlan) -> Mask:
        return np.asarray(rows.fold_values == plan.holdout_text)

    def folds(self, rows: SplitRows, plan: SplitPlan, seed: int) -> FoldIndices:
        # Fold 2 comes before fold 10.
        values = np.asarray(rows.fold_values)
        for value in sorted(np.unique(values).tolist(), key=lambda text: (len(text), text)):
            in_fold = values == value
            yield ~in_fold, in_fold

    def holdout_rows(self, count: int) -> str:
        return f"the {count:,} rows that the fold column names"


SPLIT_KINDS: Mapping[SplitBy, SplitKind] = {
    "time": ByTime(),
    "window": ByWindow(),
    "group": ByGroup(),
    "stratified": Stratified(),
    "column": ByColumn(),
}


def after(rows: SplitRows, share: float) -> Mask:
    """(rows,) True for the last share of the rows by time. Rows of one time stay on one side."""
    first = min(int(len(rows) * (1 - share)), len(rows) - 1)  # 1 - share rounds to 1 for a tiny share
    return np.asarray(rows.times >= rows.times[first])


def hashed_below(keys: npt.NDArray[Any], share: float) -> Mask:
    """(rows,) True for rows whose entity's hash falls into the share, independent of the other rows."""
    import pandas as pd

    hashes = pd.util.hash_array(keys.astype(str).astype(object), hash_key=_HASH_KEY)
    return np.asarray(hashes < np.uint64(share * 2**64))


def _sorted(drawn: Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]) -> FoldIndices:
    return ((np.sort(training), np.sort(validation)) for training, validation in drawn)
