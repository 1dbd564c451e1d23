"""The training frame: checked rows of point-in-time features, as one sparse matrix."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import MatrixFormat, Times
from lakehouse.errors import LakehouseError
from lakehouse.wording import format_number, number_of
from scoring.encoder import Encoder
from scoring.encodings import FeatureColumns
from scoring.tasks import Classes, Task
from training.evaluation.resampling import Dependence
from training.feature_store.tables import Versions

if TYPE_CHECKING:
    from scipy import sparse

    from training.spark_ml.rows import RowsOnSpark


class FrameRefused(LakehouseError):
    """The tables exist, but no model can be trained on their rows."""

    @classmethod
    def no_rows(cls, table: str) -> "FrameRefused":
        return cls(f"the spine {table} has no rows", hint="Look at its source, then run: dbt build")

    @classmethod
    def nothing_found(cls, tables: Sequence[str]) -> "FrameRefused":
        return cls(
            f"no row of the spine finds features in {' and '.join(tables)}",
            hint="Compare the keys and times of the spine with those of the tables: python -m training.features",
        )

    @classmethod
    def no_features(cls, use_case: str) -> "FrameRefused":
        return cls(f"{use_case} excludes every feature", hint="Exclude fewer in the use case.")

    @classmethod
    def named_twice(cls, feature: str, tables: list[str]) -> "FrameRefused":
        return cls(
            f"the feature '{feature}' comes from {' and '.join(tables)}",
            hint="Exclude it from all but one of them in the use case, or rename it in a gold model.",
        )

    @classmethod
    def no_number(cls, feature: str, kind: str) -> "FrameRefused":
        return cls(
            f"the feature '{feature}' is of type {kind}, not a number",
            hint="Encode it in its gold model, or exclude it.",
        )

    @classmethod
    def no_text(cls, feature: str, kind: str) -> "FrameRefused":
        return cls(
            f"the feature '{feature}' is of type {kind}, and its encoding is for texts",
            hint="Encode it as a number or a category in its gold model, or exclude it.",
        )

    @classmethod
    def no_numbers(cls, families: Sequence[str], texts: Sequence[str]) -> "FrameRefused":
        return cls(
            f"{', '.join(families)} read numbers alone, and every feature is a text: {', '.join(texts)}",
            hint="Search families that read texts, such as logistic_regression or ridge.",
        )

    @classmethod
    def no_texts(cls, families: Sequence[str]) -> "FrameRefused":
        return cls(
            f"{', '.join(families)} read texts, and no feature is a text",
            hint="Encode a column `as: text` in its gold model, or search other families.",
        )

    @classmethod
    def text_on_spark(cls, features: Sequence[str]) -> "FrameRefused":
        return cls(
            f"families on Spark read no texts, and these features are texts: {', '.join(features)}",
            hint="Search families that fit in this process, such as logistic_regression; or exclude the texts.",
        )

    @classmethod
    def missing(cls, counts: Mapping[str, int], rows: int) -> "FrameRefused":
        return cls(
            f"values are missing in rows of the spine ({rows:,} in all): {_format_counts(counts)}",
            hint="Leave out rows without a key or a time in the label model, then run: dbt build",
        )

    @classmethod
    def missing_features(
        cls, counts: Mapping[str, int], rows: int, unmatched: Mapping[str, int], single: Sequence[str]
    ) -> "FrameRefused":
        """Refuse features without a finite value.

        Args:
            counts: number of rows, by feature.
            unmatched: number of rows without any feature of a table, by table.
            single: features that are also missing in other rows.
        """
        hints = [
            f"{count:,} of {rows:,} rows have no features in {table} as of their time. To drop them, set "
            f"`missing: leave_out` for {table} in the use case."
            for table, count in unmatched.items()
        ]
        if single:
            hints.append(
                f"Give {' and '.join(single)} a value in the gold model, as {{'as': 'number', 'impute': 0}}, and run "
                "dbt build; or leave the feature out with `exclude` in the use case."
            )
        return cls(
            f"values are missing or infinite in rows of the spine ({rows:,} in all): {_format_counts(counts)}",
            hint="\n  ".join(hints),
        )

    @classmethod
    def no_part(cls, what: str, rows: int, share: float) -> "FrameRefused":
        return cls(
            f"{what} has no rows: {rows} rows are cut at a share of {format_number(share)}",
            hint="Correct `split` in the use case, or collect more rows.",
        )

    @classmethod
    def empty_fold(cls, where: str, folds: int, times: int) -> "FrameRefused":
        return cls(
            f"{where} has no rows: `folds: {folds}` cuts rows of {number_of('distinct time', times)}",
            hint="Set fewer `folds` in the `split` of the use case, or collect labels of more times.",
        )

    @classmethod
    def all_in_gap(cls, where: str, rows: int, days: float) -> "FrameRefused":
        return cls(
            f"{where} has no rows: `gap: {format_number(days)}` drops all {rows:,} before the next rows",
            hint="Set a shorter `gap` or fewer `folds` in the `split` of the use case, or collect more labels.",
        )

    @classmethod
    def all_constant(cls, rows: int, constants: str) -> "FrameRefused":
        return cls(
            f"every feature has one value on all {rows:,} training rows: {constants}",
            hint="Compare the times of the labels with those of the features: python -m training.features",
        )

    @classmethod
    def fold_column(cls, column: str, problem: str, hint: str) -> "FrameRefused":
        return cls(f"the fold column {column} {problem}", hint=hint)

    @classmethod
    def labels(cls, needed: str, found: object, where: str) -> "FrameRefused":
        return cls(
            f"{needed}; {where} has only {found}",
            hint="Correct `labels` or `split` in the use case, or the label model.",
        )


@dataclass(frozen=True)
class TrainingFrame:
    """Checked rows in order of time, ready to fit.

    Attributes:
        task: kind of label and prediction.
        x: (rows, columns) sparse float64.
        columns: the name of each column of `x`.
        features: (rows,) values of each feature column, before category indices became blocks of `x`.
        y: (rows,) indices of classes, or numbers.
        times: (rows,) UTC, ascending.
        keys: (rows,) the entity, see `entity_keys`.
        encoder: encodes features as `x`, and requests as its rows.
        sources: Delta version of every table read.
        classes: labels in the order of their indices; empty for numbers.
        left_out: by table, count of spine rows that are missing here because they had no match in it.
        constant: value of each feature that `x` and `encoder` lack because all training rows have the same one.
        fold_values: (rows,) the value of each row's fold as text, if the use case has a fold column.
        on_spark: the same rows on Spark, if a family of the search fits there.
        in_time: True if models may learn from the order of the rows; False if the split is not by time.
    """

    task: Task
    x: "sparse.csr_matrix"
    columns: tuple[str, ...]
    features: FeatureColumns
    y: npt.NDArray[Any]
    times: Times
    keys: npt.NDArray[Any]
    encoder: Encoder
    sources: Versions
    classes: Classes = (0, 1)
    left_out: Mapping[str, int] = field(default_factory=dict)
    constant: Mapping[str, float] = field(default_factory=dict)
    fold_values: npt.NDArray[Any] | None = None
    in_time: bool = True
    on_spark: "RowsOnSpark | None" = None

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, selected: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "TrainingFrame":
        return replace(
            self,
            x=self.x[selected],
            features={name: values[selected] for name, values in self.features.items()},
            y=self.y[selected],
            times=self.times[selected],
            keys=self.keys[selected],
            fold_values=None if self.fold_values is None else self.fold_values[selected],
            on_spark=None if self.on_spark is None else self.on_spark.at(selected),
        )

    def inputs(self, matrix_format: MatrixFormat) -> Any:
        """The rows in the matrix format of a family: `x`, or a dense matrix of the feature columns."""
        return self.x if matrix_format == "sparse" else self.encoder.inputs(matrix_format, self.features)

    def fingerprint(self) -> str:
        """SHA-256 of keys, times, labels and features: equal if and only if the rows are equal.

        Of a text it is the text itself: its columns depend on the vocabulary, and so on other rows.
        """
        digest = hashlib.sha256(repr(self.classes).encode())
        # An array of objects would hash the addresses of its strings.
        keys = self.keys.astype(str) if self.keys.dtype == object else self.keys
        x = self.x
        if texts := list(self.encoder.text_features):
            x = x[:, np.flatnonzero([name.partition("=")[0] not in texts for name in self.columns])]
        for part in (keys, self.times.astype("datetime64[us]"), self.y, x.indptr, x.indices, x.data):
            digest.update(np.ascontiguousarray(part).tobytes())
        for name in texts:
            for text in self.features[name]:
                digest.update(f"{len(text)} {text}".encode())
        return digest.hexdigest()

    @property
    def dependence(self) -> Dependence:
        """Entity and time of the rows; without time if the split is not by time."""
        return Dependence(self.keys, self.times if self.in_time else None)

    @property
    def outcome(self) -> str:
        """A summary of the labels."""
        return self.task.summarise(self.y, self.classes)

    @property
    def first(self) -> datetime:
        return _utc(self.times[0])

    @property
    def last(self) -> datetime:
        return _utc(self.times[-1])


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} in {count:,}" for name, count in counts.items())


def _utc(time: np.datetime64) -> datetime:
    moment: datetime = time.astype("datetime64[us]").item()
    return moment.replace(tzinfo=UTC)
