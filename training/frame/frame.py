"""The training frame: checked rows of point-in-time features, as one sparse matrix."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from lakehouse.arrays import Floats, Indices, Mask, MatrixFormat, Times
from scoring.encoder import Encoder
from scoring.encodings import FeatureColumns
from scoring.scorer import Scorer
from scoring.tasks import Classes, Task
from training.evaluation.resampling import Dependence
from training.feature_store.tables import Versions
from training.space.joint_space import Candidate
from training.spark_ml.feature_columns import FeaturesOnSpark
from training.spark_ml.row_digests import RowDigests
from training.use_case.forecast import ForecastColumns

if TYPE_CHECKING:
    from scipy import sparse
    from sklearn.pipeline import Pipeline

    from training.spark_ml.rows import RowsOnSpark

MOST_COLLECTED = 50_000  # rows of a frame on Spark whose features a report and a population read
BY_ROW = "rows:"  # begins a fingerprint that is made of a digest of each row


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of a candidate for every row, (rows,) or (rows, classes), by models not fitted on the row."""

    candidate: Candidate
    predicted: Floats


@dataclass(frozen=True)
class TrainingFrame:
    """Checked rows in order of time, ready to fit.

    Attributes:
        task: kind of label and prediction.
        x: (rows, columns) sparse float64; only its shape, without values, if the features are on Spark.
        columns: the name of each column of `x`.
        features: (rows,) values of each feature column, before category indices became blocks of `x`; on Spark if
            only families that fit there are searched.
        y: (rows,) indices of classes, or numbers.
        times: (rows,) UTC, ascending.
        keys: (rows,) the entity, see `entity_keys`.
        encoder: encodes features as `x`, and requests as its rows.
        sources: Delta version of every table read.
        classes: labels in the order of their indices; empty for numbers.
        left_out: by table, count of spine rows that are missing here because they had no match in it.
        constant: value of each feature that `x` and `encoder` lack because all training rows have the same one;
            NaN if none has a number.
        fold_values: (rows,) the value of each row's fold as text, if the use case has a fold column.
        on_spark: the same rows on Spark, if a family of the search fits there.
        forecast: features that describe the series of each row, if the task is to forecast.
        in_time: True if models may learn from the order of the rows; False if the split is not by time.
        out_of_fold: predictions from which stacks learn.
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
    forecast: ForecastColumns | None = None
    out_of_fold: tuple[OutOfFold, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, selected: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "TrainingFrame":
        on_spark = None if self.on_spark is None else self.on_spark.at(selected)
        return replace(
            self,
            x=self.x[selected],
            features=self._features_at(selected, on_spark),
            y=self.y[selected],
            times=self.times[selected],
            keys=self.keys[selected],
            fold_values=None if self.fold_values is None else self.fold_values[selected],
            on_spark=on_spark,
            out_of_fold=tuple(replace(each, predicted=each.predicted[selected]) for each in self.out_of_fold),
        )

    def out_of_fold_of(self, candidate: Candidate) -> Floats:
        """The out-of-fold predictions of a candidate.

        Raises:
            ValueError: the frame has none.
        """
        for each in self.out_of_fold:
            if each.candidate == candidate:
                return each.predicted
        raise ValueError(f"a stack learns from out-of-fold predictions, and the frame has none of {candidate.family}")

    @property
    def stays_on_spark(self) -> bool:
        """True if the features were not collected."""
        return isinstance(self.features, FeaturesOnSpark)

    def columns_of(self, names: Sequence[str]) -> FeatureColumns:
        """Some feature columns of all rows, in this process."""
        if isinstance(self.features, FeaturesOnSpark):
            return self.features.collected(names)
        return {name: self.features[name] for name in names}

    def features_at(self, selected: Indices) -> FeatureColumns:
        """The feature columns of some rows, in this process and in the order of the indices."""
        found = self._features_at(selected, None if self.on_spark is None else self.on_spark.at(selected))
        return {name: found[name] for name in found}

    def collected(self) -> "TrainingFrame":
        """The frame with its features in this process."""
        if not isinstance(self.features, FeaturesOnSpark):
            return self
        features = {name: self.features[name] for name in self.features}
        return replace(self, x=self.encoder.matrix(features).values, features=features)

    def bounded(self) -> "TrainingFrame":
        """The frame in this process; if its features are on Spark, at most `MOST_COLLECTED` rows, drawn at random."""
        return self.rows(self.drawn()).collected() if self.stays_on_spark else self

    def drawn(self) -> Indices:
        """Indices, ascending, of all rows, or of those of `bounded`."""
        if not self.stays_on_spark:
            return np.arange(len(self))
        return np.sort(np.random.default_rng(0).permutation(len(self))[:MOST_COLLECTED])

    def inputs(self, matrix_format: MatrixFormat) -> Any:
        """The rows in the matrix format of a family: `x`, or a dense matrix of the feature columns."""
        if matrix_format == "sparse" and not self.stays_on_spark:
            return self.x
        return self.encoder.inputs(matrix_format, self.features)

    def predict(self, pipeline: "Pipeline", matrix_format: MatrixFormat) -> Floats:
        """Predictions of a fitted pipeline, made where the features are: (rows,) or (rows, classes).

        Raises:
            SparkFailed: an executor cannot predict.
        """
        if isinstance(self.features, FeaturesOnSpark):
            from training.spark_ml.predictors import PipelinePredictor

            predictor = PipelinePredictor(self.task.name, pipeline, self.encoder, matrix_format)
            return self.features.predict(predictor, self.encoder.features)
        with threadpool_limits(1, user_api="openmp"):  # as for a fit: threads that wait for each other spin
            return self.task.predict(pipeline, self.inputs(matrix_format))

    def score(self, scorer: Scorer) -> Floats:
        """Predictions of a scorer, made where the features are: (rows,) or (rows, classes).

        Raises:
            SparkFailed: an executor cannot predict.
        """
        if isinstance(self.features, FeaturesOnSpark):
            from training.spark_ml.predictors import packed

            with packed(scorer) as predictor:
                return self.features.predict(predictor, scorer.encoder.features)
        return scorer.predict(self.features)

    def fingerprint(self, like: str = "") -> str:
        """SHA-256 of keys, times, labels and features: equal if and only if the rows are equal.

        Of a text it is the text itself: its columns depend on the vocabulary, and so on other rows.

        Args:
            like: a fingerprint of the same kind. One of rows on Spark is made of a digest of each row, which its
                executors compute, and begins with `rows:`.
        """
        digest = hashlib.sha256(repr(self.classes).encode())
        # An array of objects would hash the addresses of its strings.
        keys = self.keys.astype(str) if self.keys.dtype == object else self.keys
        by_row, texts = self.stays_on_spark or like.startswith(BY_ROW), list(self.encoder.text_features)
        numbers = () if by_row else self._number_parts(texts)
        for part in (keys, self.times.astype("datetime64[us]"), self.y, *numbers):
            digest.update(np.ascontiguousarray(part).tobytes())
        for row in self._row_digests() if by_row else ():
            digest.update(row)
        for name in texts:
            for text in self.features[name]:
                digest.update(f"{len(text)} {text}".encode())
        return (BY_ROW if by_row else "") + digest.hexdigest()

    def _number_parts(self, texts: Sequence[str]) -> tuple[npt.NDArray[Any], ...]:
        """The arrays of the matrix without the columns of texts."""
        x = self.x
        if texts:
            x = x[:, np.flatnonzero([name.partition("=")[0] not in texts for name in self.columns])]
        return x.indptr, x.indices, x.data

    def _row_digests(self) -> Iterable[bytes]:
        digests = RowDigests(self.encoder)
        if isinstance(self.features, FeaturesOnSpark):
            return self.features.digests(digests, self.encoder.features)
        return digests(self.features)

    def _features_at(self, selected: Mask | Indices, on_spark: "RowsOnSpark | None") -> FeatureColumns:
        if isinstance(self.features, FeaturesOnSpark) and on_spark is not None:
            return FeaturesOnSpark(on_spark)
        return {name: values[selected] for name, values in self.features.items()}

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


def _utc(time: np.datetime64) -> datetime:
    moment: datetime = time.astype("datetime64[us]").item()
    return moment.replace(tzinfo=UTC)
