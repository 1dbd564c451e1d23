"""Trainings on a real Spark, in a process of their own: what they registered, and what Spark itself predicts.

`python -m tests.contract.training.trainings_on_spark FOLDER REMOTE FAMILY...` writes `FOLDER/FAMILY.json`. An empty
REMOTE is a classic session.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from lakehouse.session import open_session
from lakehouse.settings import Settings
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.tasks import BINARY
from tests.contract.people import USE_CASE
from tests.unit.points import rows_of
from training.frame.frame import TrainingFrame
from training.models import FAMILIES
from training.run import train
from training.search import spark_fitting
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.space.space import Params
from training.spark_ml import learners
from training.spark_ml.rows import keep_rows
from training.spark_ml.vectors import FEATURES, POSITION, sparse_vectors
from training.use_case.use_case import UseCase

POINTS: Mapping[str, Params] = {
    "spark_logistic_regression": {"regularization": 0.01, "l1_ratio": 0.5},
    "spark_random_forest": {"trees": 4, "max_depth": 4, "min_rows_per_leaf": 3, "feature_share": 0.8},
    "spark_gradient_boosting": {
        "trees": 4,
        "max_depth": 3,
        "min_rows_per_leaf": 3,
        "feature_share": 0.8,
        "learning_rate": 0.1,
        "row_share": 0.9,
    },
}
WEIGHTS: Params = {"class_weight": "balanced", "recency_half_life_days": 240}
WIDE = 11_900  # categories, as many as Germany has municipalities


def case(family: str) -> UseCase:
    """`people` as a use case of one family, with two trials on one fold."""
    space = {"spark_xgboost": {"max_depth": [2], "min_child_weight": [1.0], "learning_rate": [0.2]}}
    space |= {name: {key: [value] for key, value in point.items()} for name, point in POINTS.items()}
    declared = USE_CASE.model_dump()
    search = {"families": [family], "max_evals": 2, "blend": 0, "seed": 4, "space": {family: space[family]}}
    split = declared["split"] | {"folds": 1}
    return UseCase.model_validate(declared | {"name": family, "search": search, "split": split})


def settings(folder: Path, remote: str | None) -> Settings:
    uri = f"sqlite:///{folder}/mlflow.db"
    return Settings(folder, folder, remote, uri, uri, "", master="local[2]")


@contextmanager
def spark_predictions() -> Iterator[list[Any]]:
    """Predictions of Spark for every fit inside the block: of all rows that were fitted."""
    found: list[Any] = []
    original = learners.SparkMlLearner._predicted

    def recorded(learner: Any, model: Any, sample: Any) -> Any:
        found.append(original(learner, model, sample))
        return found[-1]

    with (
        mock.patch.object(learners.SparkMlLearner, "_predicted", recorded),
        mock.patch.object(spark_fitting, "SAMPLE", 10_000),
    ):
        yield found


@contextmanager
def xgboost_predictions() -> Iterator[list[Any]]:
    """The same for the Spark estimator of XGBoost."""
    from pyspark.ml.functions import vector_to_array
    from xgboost.spark import SparkXGBClassifier

    found: list[Any] = []
    original = SparkXGBClassifier.fit

    def recorded(estimator: Any, rows: Any) -> Any:
        model = original(estimator, rows)
        scored = model.transform(rows).select(POSITION, vector_to_array(F.col("probability")).alias("found"))
        found.append([row["found"] for row in scored.orderBy(POSITION).collect()])
        return model

    with (
        mock.patch.object(SparkXGBClassifier, "fit", recorded),
        mock.patch("training.spark_ml.xgboost.ROWS_PER_WORKER", 100),  # two workers for the rows of the refit
    ):
        yield found


def train_people(family: str, place: Settings) -> dict[str, Any]:
    """Train a version; Spark's predictions of the refit are those of the most rows."""
    on_classic = FAMILIES[family].fits_on == "classic_spark"
    with xgboost_predictions() if on_classic else spark_predictions() as predictions:
        version = train(case(family), place)
    return {"version": int(version.version), "run": version.run_id, "spark": np.asarray(predictions[-1]).tolist()}


def on_spark(frame: TrainingFrame, session: SparkSession) -> TrainingFrame:
    """The frame, its rows also on Spark: shuffled, and each twice, as a spine may have them."""
    times = pa.array(frame.times).cast(pa.timestamp("us", "UTC"))
    table = pa.table({"id": frame.keys, "at": times, **frame.features})
    order = np.random.default_rng(1).permutation(np.tile(np.arange(len(frame)), 2))
    rows = session.createDataFrame(table.take(order))
    return replace(frame, on_spark=keep_rows(rows, table.select(["id", "at"]), frame.encoder.features))


def fit_other_tasks(family: str, session: SparkSession) -> dict[str, list[Any]]:
    """Our predictions and Spark's, for the family's other tasks than binary."""
    found = {}
    for task in sorted(map(str, FAMILIES[family].tasks - {BINARY})):
        frame = on_spark(rows_of(task, 240), session)
        ours, spark = _predictions(family, frame)
        found[task] = [ours, spark]
        if family == "spark_random_forest" and frame.task.predicts_classes:
            found["again"] = [ours, _predictions(family, frame)[0]]
        frame.on_spark.source.close()  # type: ignore[union-attr]
    return found


def _predictions(family: str, frame: TrainingFrame) -> tuple[list[Any], list[Any]]:
    rows = frame.inputs(FAMILIES[family].matrix_format)
    with spark_predictions() as predictions:
        model = fit(Candidate(family, {**POINTS[family], **WEIGHTS}), frame, 3)
    ours = model.predict_proba(rows) if frame.task.predicts_classes else model.predict(rows)
    return ours.tolist(), predictions[0].tolist()


def wide_vectors(session: SparkSession) -> list[Any]:
    """Vectors of three rows with 11,900 categories: their type, size and stored numbers; the last one is unknown."""
    encoder = Encoder(
        ENCODINGS.validate_python(
            [
                {"column": "amount", "as": "number", "type": "double"},
                {"column": "place", "as": "category_index", "index": "gold.place_index"},
            ]
        ),
        {"gold.place_index": ("", *(f"place {number}" for number in range(1, WIDE)))},
        ("amount", "place_index"),
    )
    rows = pa.table({POSITION: [0, 1, 2], "amount": [0.5, 0.0, 2.0], "place_index": [7, WIDE - 1, WIDE + 5]})
    vectors = sparse_vectors(session.createDataFrame(rows), encoder.features, encoder.categories())
    found = [row[FEATURES] for row in vectors.orderBy(POSITION).collect()]
    return [[type(each).__name__, each.size, each.indices.tolist(), each.values.tolist()] for each in found]


def main(folder: Path, remote: str | None, families: Sequence[str]) -> None:
    with mock.patch("training.stages.report.write_report"):  # tests/contract/training/test_report_publication.py
        for family in families:
            found = train_people(family, settings(folder, remote))
            if remote is not None:
                session = open_session(remote)
                found |= {"tasks": fit_other_tasks(family, session), "cache": session.client._get_ml_cache_info()}
            (folder / f"{family}.json").write_text(json.dumps(found))
    if remote is not None:
        (folder / "wide.json").write_text(json.dumps(wide_vectors(open_session(remote))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] or None, sys.argv[3:])
