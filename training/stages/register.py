"""Stage 4: score the holdout, compile the scorer, register it as the challenger."""

from dataclasses import replace

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from lakehouse import console
from lakehouse.arrays import Floats
from training.evaluation.bootstrap import Interval, RowIndices, intervals
from training.evaluation.metrics import METRICS, evaluate
from training.frame.frame import TrainingFrame
from training.frame.provenance import provenance
from training.frame.splits import Split
from training.registry import registration
from training.registry.compilation import compile_scorer
from training.registry.versions import newest_version
from training.search.result import SearchResult
from training.stages.refit import Refitted
from training.use_case.use_case import UseCase


def register(use_case: UseCase, refitted: Refitted, result: SearchResult, data: Split) -> ModelVersion:
    """Compile the refitted winner, score it on the holdout, and register it as the challenger."""
    console.stage(f"Registering {use_case.name}")
    winner = result.best(use_case.search.metric)
    previous = newest_version(MlflowClient(), use_case.name)
    compilation = compile_scorer(refitted.scorer, data.holdout.features)
    console.detail(compilation.summary())
    refitted = replace(refitted, scorer=compilation.applied_to(refitted.scorer))
    scorer = refitted.scorer
    predicted, threshold = scorer.predict(data.holdout.features), scorer.response_format.threshold
    metrics = evaluate(use_case.task, data.holdout.y, predicted, threshold)
    on_holdout = {f"holdout_{name}": value for name, value in metrics.items()}
    mlflow.log_metrics({**winner.metrics, **on_holdout, **refitted.metrics})
    mlflow.log_params({"family": winner.candidate.family, **winner.candidate.params})
    measured = holdout_intervals(use_case, data.holdout, predicted, threshold)
    source = provenance(data, use_case.split, previous)
    version = registration.register_version(
        use_case, scorer, result, source, measured, refitted.notes, **compilation.tags()
    )
    console.detail(f"{use_case.name} version {version.version} is the challenger")
    for line in str(version.description).splitlines():
        console.detail(line)
    return version


def holdout_intervals(
    use_case: UseCase, holdout: TrainingFrame, predicted: Floats, threshold: float
) -> dict[str, Interval]:
    """Confidence intervals of the metrics that the search and the promotion use."""
    names = dict.fromkeys((use_case.search.metric, use_case.promotion.metric))

    def metrics(rows: RowIndices) -> dict[str, float]:
        return {name: METRICS[name].function(holdout.y[rows], predicted[rows], threshold) for name in names}

    return intervals(metrics, len(holdout))
