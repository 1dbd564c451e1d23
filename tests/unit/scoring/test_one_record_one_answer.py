"""One record, one answer, bit by bit: compiled or fitted, alone or beside others, on every path.

The features are large integers (dates as yyyymmdd, epoch seconds, epoch milliseconds, cents), at which single and
double precision differ.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from deployment.model_server.http.record_decoder import RecordDecoder
from lakehouse.arrays import Floats
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.hooks import Record
from scoring.pyfunc import ScoringModel
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import TASKS, Classes
from tests.unit.points import LOCAL, POINTS, with_predictions
from training.frame.frame import TrainingFrame
from training.models import FAMILIES
from training.registry.compilation import compile_scorer
from training.registry.probes import probe_rows
from training.registry.reference import reference
from training.search.ensemble_candidates import blend_candidate, stack_candidate
from training.search.fitting import ENSEMBLES, fit
from training.space.joint_space import Candidate

PARAMS = {name: {**params, "max_depth": 9} if name == "random_forest" else params for name, params in POINTS}
NUMBERS = {
    "born": (19400101, 20051231),
    "seen": (1.7e9, 1.7e9 + 2.6e6),
    "changed": (1.7e12, 1.7e12 + 2.6e9),
    "cents": (0, 3e6),
}
TOWNS = tuple(f"town {number}" for number in range(12))
ENCODER = Encoder(
    ENCODINGS.validate_python(
        [
            *(
                {"column": name, "as": "number", "minimum": low, "maximum": high}
                for name, (low, high) in NUMBERS.items()
            ),
            {"column": "share", "as": "number", "type": "double", "impute": 0.25},
            {"column": "town", "as": "category_index", "index": "gold.town_index"},
        ]
    ),
    {"gold.town_index": ("", *TOWNS)},
    (*NUMBERS, "share", "share_is_missing", "town_index"),
)
ROWS, CLASSES = 600, 9  # from eight classes on, numpy sums a row of probabilities in another order
WIDE = {"binary": 2, "multiclass": CLASSES, "regression": 0}
BASES = ("knn", "extra_trees", "xgboost")
BLENDS = {
    "blend with neighbours": ("knn", "lightgbm", "xgboost"),
    "blend of trees": ("random_forest", "gradient_boosting", "catboost"),
}
STACK = "stack on neighbours, in a blend"
FITTED = [name for name in LOCAL if name not in {"dummy", *ENSEMBLES}]
CASES = [(name, task) for name in FITTED for task in sorted(WIDE) if TASKS[task] in FAMILIES[name].tasks]
CASES += [(name, task) for name in (*BLENDS, STACK) for task in sorted(WIDE)]
pytestmark = pytest.mark.filterwarnings("ignore:The max_iter was reached")


@cache
def frame_of(task: str) -> TrainingFrame:
    """Rows whose label is a wave over each number in turn, with noise."""
    draw = np.random.default_rng(5)
    features: dict[str, Floats] = {}
    wave = draw.normal(0, 0.3, ROWS)
    for name, (low, high) in NUMBERS.items():
        values = draw.integers(int(low), int(high), ROWS, endpoint=True).astype(np.float64)
        features[name] = values
        wave += np.sin(4 * (values - values.mean()) / values.std())
    missing = draw.random(ROWS) < 0.1
    features["share"] = np.where(missing, 0.25, draw.random(ROWS))
    features["share_is_missing"] = missing.astype(np.float64)
    features["town_index"] = draw.integers(0, 13, ROWS).astype(np.float64)
    wave += features["share"] + features["town_index"] % 3
    classes = WIDE[task]
    labels = 50 * wave if not classes else np.searchsorted(np.quantile(wave, np.arange(1, classes) / classes), wave)
    matrix = ENCODER.matrix(features)
    times = np.datetime64("2020-01-01", "us") + np.arange(ROWS) * np.timedelta64(1, "h")
    names: Classes = (0, 1) if classes == 2 else tuple(f"class {index}" for index in range(classes))
    return TrainingFrame(
        TASKS[task],
        matrix.values,
        matrix.columns,
        features,
        labels,
        times,
        np.arange(ROWS),
        ENCODER,
        {"gold.t": 3},
        names,
    )


@dataclass(frozen=True)
class Trained:
    """A fitted version: the scorer of training, the same read from its files, and the pipeline it must reproduce."""

    fitted: Scorer
    read: Scorer
    exact: Scorer


def candidate_of(name: str, task: str) -> Candidate:
    linear = "ridge" if task == "regression" else "logistic_regression"
    if name == STACK:
        bases = [Candidate.of(each, PARAMS[each]) for each in BASES]
        stack = stack_candidate(bases, Candidate.of("lightgbm", PARAMS["lightgbm"]))
        return blend_candidate([(0.5, stack), (0.5, Candidate.of(linear, PARAMS[linear]))])
    if name not in BLENDS:
        return Candidate(name, PARAMS[name])
    members = [*BLENDS[name], linear]
    return blend_candidate([(0.1 + index / 10, Candidate(each, PARAMS[each])) for index, each in enumerate(members)])


@cache
def trained(name: str, task: str) -> Trained:
    rows = frame_of(task)
    if name == STACK:
        rows = with_predictions(rows, *(Candidate.of(each, PARAMS[each]) for each in BASES))
    candidate = candidate_of(name, task)
    answering = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    form = FAMILIES[candidate.family].matrix_format
    fitted = Scorer(fit(candidate, rows, 0), ENCODER, answering, matrix_format=form)
    compilation = compile_scorer(fitted, rows.features)
    assert compilation.compiled is not None, compilation.reason
    assert compilation.difference == 0
    with tempfile.TemporaryDirectory() as folder:
        read = Scorer.load(compilation.applied_to(fitted).save(Path(folder)))
    exact = Scorer(reference(fitted.pipeline, ENCODER, form), ENCODER, answering, matrix_format=form)
    return Trained(fitted, read, exact)


def columns_of(rows: Floats) -> Mapping[str, Floats]:
    return dict(zip(ENCODER.features, rows.T, strict=True))


def record_of(row: Floats) -> Record:
    born, seen, changed, cents, share, missing, town = row.tolist()
    whole = {"born": int(born), "seen": int(seen), "changed": int(changed), "cents": int(cents)}
    return whole | {"share": None if missing else share, "town": TOWNS[int(town) - 1] if town else None}


def every_value_and_its_neighbours(rows: Floats) -> Floats:
    """Every value of every number, with the double and the single before and behind it."""
    copies = [rows]
    for direction in (-np.inf, np.inf):
        for kind in (np.float64, np.float32):
            moved = rows.copy()
            moved[:, : len(NUMBERS)] = np.nextafter(rows[:, : len(NUMBERS)].astype(kind), kind(direction))
            copies.append(moved)
    return np.concatenate(copies)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_compiled_model_equals_the_fitted_one_at_every_value_and_threshold(name: str, task: str) -> None:
    versions = trained(name, task)
    rows = ENCODER.dense(frame_of(task).features)
    assert versions.read.compiled is not None
    for tested in (every_value_and_its_neighbours(rows), probe_rows(rows, ENCODER, versions.read.compiled, 3000)):
        expected = versions.exact.predict(columns_of(tested))
        np.testing.assert_array_equal(versions.read.predict(columns_of(tested)), expected)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_record_has_one_answer_alone_beside_others_in_batch_and_in_pyfunc(name: str, task: str) -> None:
    scorer = trained(name, task).read
    rows = ENCODER.dense(frame_of(task).features)[:300]
    records = [record_of(row) for row in rows]
    together = scorer.respond(records)
    assert [scorer.respond([record])[0] for record in records[:100]] == together[:100]
    assert [each for start in (0, 100, 200) for each in scorer.respond(records[start : start + 100])] == together
    order = np.random.default_rng(1).permutation(len(records))
    shuffled = scorer.respond([records[index] for index in order])
    assert [shuffled[index] for index in np.argsort(order)] == together
    assert scorer.outcomes(records) == together
    decoder = RecordDecoder.of(scorer.encoder)
    assert decoder is not None
    request = decoder.request(json.dumps({"dataframe_records": records}).encode(), len(records))
    assert request is not None
    assert request.rows is not None
    assert scorer.respond(request.rows) == together
    assert scorer.outcomes_of_features(columns_of(rows), records) == together
    assert scorer.outcomes_of_features(columns_of(rows[:1]), records[:1]) == together[:1]
    served: Any = ScoringModel()
    served.scorer = scorer
    assert served.respond(records) == together
    frame = pd.DataFrame({name: pd.Series([each[name] for each in records], dtype=object) for name in records[0]})
    assert served.predict(None, frame).to_dict("records") == together


@pytest.mark.parametrize(("name", "task"), [case for case in CASES if case != ("gradient_boosting", "multiclass")])
def test_a_fitted_pipeline_has_one_answer_alone_and_beside_others(name: str, task: str) -> None:
    scorer = trained(name, task).exact
    features = frame_of(task).features
    with threadpool_limits(1):  # on a busy machine, threads of OpenMP wait for each other
        together = scorer.predict(features)
        for size, rows in ((1, 40), (7, 140), (100, ROWS)):
            starts = range(0, rows, size)
            parts = [{key: values[at : at + size] for key, values in features.items()} for at in starts]
            predicted = np.concatenate([scorer.predict(part) for part in parts])
            np.testing.assert_array_equal(predicted, together[:rows])
