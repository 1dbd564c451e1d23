"""Our search on one split of a set, as a process of its own: `python -m benchmarks.quality.ours`."""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.quality.sets import Terms
from lakehouse.arrays import Floats
from lakehouse.settings import Settings
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS, Values
from scoring.tasks import TASKS
from training.budget import Budget
from training.frame.constants import without_constants
from training.frame.frame import TrainingFrame
from training.frame.splits import folds
from training.models import FAMILIES
from training.search.blending import BlendRefused, blend
from training.search.fitting import fit
from training.search.loop import REPORT_SECONDS, RESERVED_SHARE
from training.search.result import SearchResult, fit_seconds
from training.search.running import run_plan
from training.search.trial import Attempt, Trial
from training.stages.final_model import final_model
from training.use_case.use_case import UseCase

BOOSTERS = ("lightgbm", "xgboost", "catboost")
MOST_MEMBERS = 12  # of a blend
SEARCHED = ("logistic_regression", "ridge", "random_forest", "extra_trees", "gradient_boosting", *BOOSTERS)


def frame_of(rows: pd.DataFrame, training: pd.DataFrame, task: str) -> TrainingFrame:
    """Rows of one time, encoded as `init` proposes: missing numbers stay missing."""
    features: dict[str, Values] = {}
    encodings, vocabularies = list[dict[str, object]](), dict[str, tuple[str, ...]]()
    for column in training.columns.drop("target"):
        if pd.api.types.is_numeric_dtype(training[column]):
            encoding: dict[str, object] = {"column": column, "as": "number", "type": "double"}
            if training[column].isna().any() or rows[column].isna().any():
                encoding["missing"] = "keep"
            features[column] = rows[column].to_numpy(dtype=np.float64)
        else:
            known = ("", *sorted(set(training[column].dropna())))
            place_of = {category: place for place, category in enumerate(known)}
            encoding = {"column": column, "as": "category_index", "index": f"gold.{column}"}
            vocabularies[f"gold.{column}"] = known
            features[f"{column}_index"] = rows[column].map(place_of).fillna(0).to_numpy(dtype=np.float64)
        encodings.append(encoding)
    declared = ENCODINGS.validate_python(encodings)
    encoder = Encoder(declared, vocabularies, tuple(name for each in declared for name in each.features))
    matrix, times = encoder.matrix(features), np.full(len(rows), np.datetime64("2020-01-01", "us"))
    classes = () if task == "regression" else tuple(range(int(training["target"].max()) + 1))
    y, keys = rows["target"].to_numpy(), np.arange(len(rows))
    return TrainingFrame(
        TASKS[task], matrix.values, matrix.columns, features, y, times, keys, encoder, {}, classes, in_time=False
    )


def use_case_of(terms: Terms) -> UseCase:
    """The use case of a set, as `init` writes it, with a larger blend."""
    task, metric = terms.task, terms.metric
    families = [name for name in SEARCHED if TASKS[task] in FAMILIES[name].tasks]
    search = {
        "families": families,
        "metric": metric,
        "seed": terms.split,
        "parallelism": terms.jobs,
        "max_evals": 1_000_000,
    }
    search |= {
        "max_minutes": terms.seconds / 60,
        "portfolio": True,
        "blend": MOST_MEMBERS,
        "recency_weights": False,
    }
    by = "group" if task == "regression" else "stratified"
    classes = {"classes": [0, 1, 2]} if task == "multiclass" else {}  # the frame has its own
    labels = {"table": "gold.labels", "entity": "entity", "timestamp": "at", "column": "target", **classes}
    return UseCase.model_validate(
        {
            "name": "quality",
            "task": task,
            "labels": labels,
            "features": [{"table": "gold.features"}],
            "search": search,
        }
        | {
            "split": {"by": by, "folds": 5},
            "promotion": {"metric": metric, "minimum": 0.5},
            "serving": {"endpoint": "quality"},
        }
        | {"golden_request": {}}
    )


def predict(folder: Path, terms: Terms) -> dict[str, Floats]:
    """Predictions of the test rows by our final model, and by the best single booster of the same search."""
    task, metric, seconds, seed = terms.task, terms.metric, terms.seconds, terms.split
    budget = Budget.of(seconds)
    train, test = (pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test"))
    training, rows = frame_of(train, train, task), frame_of(test.assign(target=0), train, task)
    training = without_constants(training)
    rows = replace(rows, encoder=training.encoder)
    rows = replace(rows, x=training.encoder.matrix(rows.features).values)
    use_case = use_case_of(terms)
    minutes = (seconds + REPORT_SECONDS) / 60  # the time that a search leaves for a report is its own here
    plan = use_case.search.model_copy(update={"max_minutes": minutes})
    attempt = Attempt(list(folds(training, use_case.split, seed)), seed, 0.5)
    result = run_plan(plan, attempt, lambda _trial: None, Settings.from_environment())
    trials, reserve = result.trials, budget.at_least(RESERVED_SHARE * seconds)
    with suppress(BlendRefused):
        trials = (*trials, blend(trials, attempt, metric, plan.blend, reserve.left()))
    winner = replace(result, trials=trials).best(metric)
    final = final_model(use_case, winner.candidate, training, fit_seconds([winner.candidate], trials), budget)
    predicted = {"ours": training.task.predict(final.pipeline, rows.inputs(final.matrix_format))}
    boosters: tuple[Trial, ...] = tuple(trial for trial in result.trials if trial.candidate.family in BOOSTERS)
    if any(trial.status == "ok" for trial in boosters):
        single = SearchResult(boosters, result.stop_reason).best(metric).candidate
        fitted = fit(single, training, seed)
        predicted["booster"] = training.task.predict(fitted, rows.inputs(FAMILIES[single.family].matrix_format))
    return predicted


if __name__ == "__main__":
    where, its_task, _, its_seconds, its_jobs, its_split = sys.argv[1:]
    its_terms = Terms(its_task, float(its_seconds), int(its_jobs), int(its_split))
    for system, values in predict(Path(where), its_terms).items():
        np.save(Path(where) / f"{system}.npy", values)
