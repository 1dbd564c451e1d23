"""The final model of a winner: fitted on all training rows, or the bag of the models of its folds.

A bag averages models of which each lacks the validation rows of a fold. Neither form can be measured on training rows
directly: a refit has seen them all, and all models of a bag but one have seen each of them. So `auto` repeats the
choice inside every fold. It fits one model on the fold's training rows, and a bag of models on folds cut from the
same rows, and compares them on the fold's validation rows, which neither has seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from sklearn.pipeline import Pipeline

from lakehouse.arrays import Floats, MatrixFormat
from lakehouse.errors import LakehouseError
from lakehouse.wording import number_of
from scoring.estimators.blend import Blend
from scoring.predictions import weighted_average
from scoring.scorer import Scorer
from training.budget import Budget
from training.evaluation.metrics import METRICS, evaluate
from training.frame.frame import TrainingFrame
from training.frame.refusals import FrameRefused
from training.frame.splits import Fold, folds
from training.models import FAMILIES
from training.registry.compilation import compile_scorer
from training.search.fitting import SAMPLE_ROWS, fit
from training.space.joint_space import Candidate
from training.use_case.search import bag_fits
from training.use_case.use_case import UseCase

TIMED_ROWS = 300
LATENCY_SHARE = 0.5  # of the latency guard: its limit holds in the gate's process, on a machine that may be busier


@dataclass(frozen=True)
class FinalModel:
    """The pipeline to serve.

    Attributes:
        matrix_format: format of the rows that the pipeline takes.
        note: how the form was chosen, one line; empty where the use case asks for a refit.
        metrics: the measured comparison.
        fold_pipelines: the winner fitted on each fold; empty if nothing needed them.
        predictions: predictions of each fold's validation rows by a model of this form, if they were measured.
    """

    pipeline: Pipeline
    matrix_format: MatrixFormat
    note: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    fold_pipelines: tuple[Pipeline, ...] = ()
    predictions: tuple[Floats, ...] | None = None


class BagRefused(LakehouseError):
    """The use case asks for a bag that cannot be made."""


def final_model(
    use_case: UseCase, candidate: Candidate, frame: TrainingFrame, seconds: float, budget: Budget
) -> FinalModel:
    """Fit the final model of a candidate in the form that the use case asks for.

    Args:
        seconds: fit time of the candidate on all folds.
        budget: `auto` compares inside of as many folds as it allows.

    Raises:
        BagRefused: a bag is asked for, and the split has one fold.
    """
    final, seed = use_case.search.final, use_case.search.seed
    if final == "refit" or SAMPLE_ROWS in candidate.params:
        return _refitted(candidate, frame, seed)
    parts = list(folds(frame, use_case.split, seed))
    if final == "bag":
        if len(parts) < 2:
            raise BagRefused(
                "a bag needs the models of two folds or more, and this split has one fold",
                hint="Set `search: {final: refit}`, or another `split`.",
            )
        models = _fit_on(candidate, parts, seed)
        note = f"Final model: the bag of {len(models)} models, one of each fold, as the use case asks"
        return FinalModel(bag_of(models, candidate, frame), "dense", note, fold_pipelines=models)
    if len(parts) < 2:
        return _refitted(candidate, frame, seed, "the split has one fold, and a bag needs two")
    compared = next((count for count in range(len(parts), 0, -1) if budget.allows(seconds * bag_fits(count))), 0)
    if not compared:
        left = budget.left()
        reason = (
            f"comparing it with a bag takes about {seconds * bag_fits(1):.0f} s or more, and {left:.0f} s are left"
        )
        return _refitted(candidate, frame, seed, reason)
    return _better(use_case, candidate, frame, parts, compared)


def bag_of(models: Sequence[Pipeline], candidate: Candidate, frame: TrainingFrame) -> Pipeline:
    """The mean of fitted models of a candidate as one flat blend; a blend's members keep their weights.

    Args:
        frame: has the categories of the rows that the models were fitted on.
    """
    members, formats, weights = list[Pipeline](), list[MatrixFormat](), list[float]()
    for model in models:
        blend = model.steps[-1][1]
        if isinstance(blend, Blend):
            members += blend.members
            formats += blend.matrix_formats
            weights += [weight / len(models) for weight in blend.weights]
        else:
            members.append(model)
            formats.append(FAMILIES[candidate.family].matrix_format)
            weights.append(1 / len(models))
    return Pipeline([("model", Blend(frame.task.name, members, formats, weights, dict(frame.encoder.categories())))])


def _refitted(candidate: Candidate, frame: TrainingFrame, seed: int, reason: str = "") -> FinalModel:
    note = f"Final model: fitted on all training rows; {reason}" if reason else ""
    return FinalModel(fit(candidate, frame, seed), FAMILIES[candidate.family].matrix_format, note)


def _better(
    use_case: UseCase, candidate: Candidate, frame: TrainingFrame, parts: Sequence[Fold], count: int
) -> FinalModel:
    """The form of less mean loss over the first `count` folds; a refit where both are equal or a bag is too slow."""
    seed, metric = use_case.search.seed, use_case.search.metric
    matrix_format = FAMILIES[candidate.family].matrix_format
    models = _fit_on(candidate, parts, seed)
    try:
        of_bags = tuple(_bag_predictions(use_case, candidate, part) for part in parts[:count])
    except FrameRefused as err:
        reason = f"folds inside of the folds are too small to compare a bag: {err.failed}"
        return replace(_refitted(candidate, frame, seed, reason), fold_pipelines=models)
    compared = parts[:count]
    of_models = tuple(
        part.validate.predict(model, matrix_format) for model, part in zip(models[:count], compared, strict=True)
    )
    bagged, single = (_mean(use_case, compared, each) for each in (of_bags, of_models))
    metrics = {f"bag_{metric}": bagged, f"refit_{metric}": single}
    against = f"{metric} out of fold {bagged:.4f} for a bag of {len(models)} models, {single:.4f} for one model"
    if count < len(parts):
        against += f", as time allowed on {count} of {number_of('fold', len(parts))}"
    reason = against
    if METRICS[metric].loss(bagged) < METRICS[metric].loss(single):
        bag = bag_of(models, candidate, frame)
        slow = _too_slow(use_case, bag, frame)
        if slow is None:
            predictions = of_bags if count == len(parts) else None
            return FinalModel(bag, "dense", f"Final model: the bag; {against}", metrics, models, predictions)
        reason = f"{against}, and {slow}"
    return replace(_refitted(candidate, frame, seed, reason), metrics=metrics, fold_pipelines=models)


def _fit_on(candidate: Candidate, parts: Sequence[Fold], seed: int) -> tuple[Pipeline, ...]:
    return tuple(fit(candidate, part.fit, seed) for part in parts)


def _bag_predictions(use_case: UseCase, candidate: Candidate, part: Fold) -> Floats:
    """Predictions of a fold's validation rows by the bag of models on folds of its training rows.

    Raises:
        FrameRefused: the training rows are too few for the folds.
    """
    inner = list(folds(part.fit, use_case.split, use_case.search.seed))
    if len(inner) < 2:
        raise FrameRefused(f"{number_of('fold', len(inner))} inside of a fold")
    matrix_format = FAMILIES[candidate.family].matrix_format
    models = _fit_on(candidate, inner, use_case.search.seed)
    predicted = [part.validate.predict(model, matrix_format) for model in models]
    return weighted_average(predicted, [1 / len(inner)] * len(inner))


def _mean(use_case: UseCase, parts: Sequence[Fold], predicted: Sequence[Floats]) -> float:
    """Mean of the search's metric over the folds, as for trials."""
    threshold, metric = use_case.response_format.threshold, use_case.search.metric
    pairs = zip(parts, predicted, strict=True)
    return float(np.mean([evaluate(use_case.task, part.validate.y, each, threshold)[metric] for part, each in pairs]))


def _too_slow(use_case: UseCase, bag: Pipeline, frame: TrainingFrame) -> str | None:
    """Why the bag does not hold the latency guard with room to spare; None if it does, or without a guard."""
    limit = use_case.promotion.guards.max_p99_ms
    if limit is None:
        return None
    some = frame.features_at(np.arange(min(TIMED_ROWS, len(frame))))
    scorer = Scorer(bag, frame.encoder, use_case.response_format, matrix_format="dense")
    compilation = compile_scorer(scorer, some)
    if compilation.compiled is None:
        return f"a bag is not compiled: {compilation.reason}"
    durations = []
    for row in frame.encoder.dense(some).tolist():
        start = perf_counter()
        compilation.compiled.predict_one(row)
        durations.append((perf_counter() - start) * 1000)
    p99 = float(np.quantile(durations, 0.99))
    if p99 <= limit * LATENCY_SHARE:
        return None
    return f"a bag takes {p99:.1f} ms a row (99th percentile), more than half of max_p99_ms ({limit:g})"
