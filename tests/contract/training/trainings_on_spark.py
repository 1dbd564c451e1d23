"""Trainings on a real Spark, in a process of their own: what they registered, and what Spark itself predicts.

`python -m tests.contract.training.trainings_on_spark FOLDER REMOTE FAMILY...` writes `FOLDER/FAMILY.json`. An empty
REMOTE is a classic session.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import mlflow
import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)
from pyspark.sql.connect.client import SparkConnectClient

from lakehouse.session import open_session
from lakehouse.settings import Settings
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.tasks import BINARY
from tests.contract.people import ROWS, USE_CASE, write_bodies, write_tables
from tests.unit.points import rows_of
from training.feature_store.home import open_store
from training.feature_store.store import FeatureStore
from training.frame.build import load_frame
from training.frame.frame import BY_ROW, TrainingFrame
from training.frame.on_spark import COLLECTED, OnSpark
from training.frame.refusals import FrameRefused
from training.frame.splits import training_split
from training.models import FAMILIES
from training.run import train
from training.search import spark_fitting
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.space.space import Params
from training.spark_ml import learners
from training.spark_ml.column_names import FEATURES, POSITION
from training.spark_ml.rows import keep_rows
from training.spark_ml.vectors import sparse_vectors
from training.stages.read import read
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
FEW = 40  # rows of features that leave Spark at once
BOUNDS = (
    "training.frame.frame.MOST_COLLECTED",
    "training.search.spark_fitting.SAMPLE",
    "training.report.importance.ROWS_PER_FOLD",
    "training.report.sections.explanation.ROWS",
    "training.report.sections.explanation.BACKGROUND",
)
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
def received() -> Iterator[list[tuple[list[str], int]]]:
    """Columns and number of rows of every batch that this process receives from Spark Connect."""
    found: list[tuple[list[str], int]] = []
    original = SparkConnectClient._execute_and_fetch_as_iterator

    def recorded(*arguments: Any, **options: Any) -> Iterator[Any]:
        for part in original(*arguments, **options):
            if isinstance(part, pa.RecordBatch):
                found.append((part.schema.names, part.num_rows))
            yield part

    with mock.patch.object(SparkConnectClient, "_execute_and_fetch_as_iterator", recorded):
        yield found


@contextmanager
def bounds(rows: int) -> Iterator[None]:
    """At most so many rows of features leave Spark at once: in a fit, in a population and in a report."""
    with ExitStack() as patches:
        for name in BOUNDS:
            patches.enter_context(mock.patch(name, rows))
        patches.enter_context(mock.patch("training.report.sections.dependence.ROWS", rows // 10))
        yield


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


def train_where_the_rows_are(place: Settings) -> dict[str, Any]:
    """Train two families with blend, calibration, threshold and report; count the rows that leave Spark."""
    declared = case("spark_random_forest").model_dump()
    families = ["spark_random_forest", "spark_logistic_regression"]
    declared["search"] |= {"families": families, "blend": 2, "max_evals": 2, "space": {}}
    declared["serving"] |= {"calibration": "sigmoid", "threshold": {"maximise": "f1"}}
    wide = UseCase.model_validate(declared | {"name": "where_the_rows_are"})
    with bounds(FEW), received() as batches:
        version = train(wide, place)
    with received() as from_gate, closing(read(wide, place)) as data:
        model = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}").unwrap_python_model()
        here = data.holdout.collected()
        same = data.holdout.score(model.scorer).tolist() == model.scorer.predict(here.features).tolist()
        fingerprint = here.fingerprint(like=data.holdout.fingerprint())
    return {
        "frames": frames_on_spark_and_here(place),
        "received": batches,
        "same_as_served": same,
        "again": len(from_gate),
        "fingerprints": [fingerprint, data.holdout.fingerprint(), version.tags["holdout_fingerprint"]],
        "report": sorted(Path(place.project).rglob("*.html")) != [],
    }


def frames_on_spark_and_here(place: Settings) -> list[list[str]]:
    """The same frames loaded both ways: their rows and constants, or the refusal."""
    day = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(ROWS)]
    time, noise = pa.array(day, pa.timestamp("us", "UTC")), np.random.default_rng(5).normal(0, 1, ROWS)
    counts, flat = pa.array(range(ROWS), pa.int32()), np.full(ROWS, 2.5)
    infinite = pa.array(np.where(np.arange(ROWS) % 50 == 1, np.inf, noise), mask=np.arange(ROWS) == 7)
    tables: Mapping[str, Mapping[str, Any]] = {
        "leave_out": {"height": counts, "noise": noise, "flat": flat},
        "refuse": {"height": counts, "noise": infinite},
    }
    found = []
    for missing, features in tables.items():
        folder = Path(place.warehouse) / missing
        write_tables(folder)
        shutil.rmtree(folder / "gold/bodies")
        table = pa.table({"person": range(ROWS), "at": time, **features})[: ROWS - 60]
        write_bodies(folder, table["person"], table["at"], {name: table[name] for name in features})
        declared = USE_CASE.model_dump() | {"features": [{"table": "gold.bodies", "missing": missing}]}
        store = open_store(replace(place, warehouse=folder))
        both = [OnSpark(collect=False), COLLECTED]
        found.append([_described(UseCase.model_validate(declared), store, each) for each in both])
    return found


def _described(use_case: UseCase, store: FeatureStore, on_spark: OnSpark) -> str:
    try:
        with closing(training_split(load_frame(use_case, store, on_spark=on_spark), use_case.split)) as parts:
            training = parts.training
            assert training.stays_on_spark == (not on_spark.collect)
            some = training.rows(np.random.default_rng(2).permutation(len(training))[:30])
            here = some.collected()
            described = [
                here.x.toarray().tolist(),
                here.keys.tolist(),
                str(training.constant),
                str(training.left_out),
            ]
            return json.dumps([*described, training.columns, training.x.shape, training.fingerprint(like=BY_ROW)])
    except FrameRefused as err:
        return str(err)


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
        (folder / "rows.json").write_text(json.dumps(train_where_the_rows_are(settings(folder, remote))))
        (folder / "wide.json").write_text(json.dumps(wide_vectors(open_session(remote))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] or None, sys.argv[3:])
