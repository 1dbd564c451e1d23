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
from training.registry import model_files
from training.registry.compilation import compiled
from training.registry.versions import newest_version
from training.search.result import SearchResult
from training.stages.refit import Refitted
from training.use_case.use_case import UseCase


def register(use_case: UseCase, refitted: Refitted, found: SearchResult, data: Split) -> ModelVersion:
    """The refitted best of what was found as the new challenger, with what it scores on the holdout."""
    console.stage(f"Registering {use_case.name}")
    winner = found.best(use_case.search.metric)
    before = newest_version(MlflowClient(), use_case.name)
    compilation = compiled(refitted.scorer, data.holdout.features)
    console.detail(compilation.told())
    refitted = replace(refitted, scorer=compilation.within(refitted.scorer))
    scorer = refitted.scorer
    predicted, threshold = scorer.predicted(data.holdout.features), scorer.answering.threshold
    holdout = evaluate(use_case.task, data.holdout.y, predicted, threshold)
    on_holdout = {f"holdout_{name}": value for name, value in holdout.items()}
    mlflow.log_metrics({**winner.metrics, **on_holdout, **refitted.metrics})
    mlflow.log_params({"family": winner.candidate.family, **winner.candidate.params})
    sure = certainty(use_case, data.holdout, predicted, threshold)
    source = provenance(data, use_case.split, before)
    version = model_files.register_version(
        use_case, scorer, found, source, sure, refitted.notes, **compilation.tags()
    )
    console.detail(f"{use_case.name} version {version.version} is the challenger")
    console.detail(str(version.description))
    return version


def certainty(use_case: UseCase, holdout: TrainingFrame, predicted: Floats, threshold: float) -> dict[str, Interval]:
    """The metrics that the use case searches and promotes by, with their bounds."""
    names = dict.fromkeys((use_case.search.metric, use_case.promotion.metric))

    def metrics(rows: RowIndices) -> dict[str, float]:
        return {name: METRICS[name].function(holdout.y[rows], predicted[rows], threshold) for name in names}

    return intervals(metrics, len(holdout))
