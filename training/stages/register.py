"""Stage 4: score the holdout, compile the scorer, register it as the challenger."""

from collections.abc import Mapping
from dataclasses import replace

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from lakehouse import console
from training.evaluation.metrics import evaluate
from training.evaluation.resampling import format_draws
from training.evaluation.weighted_metrics import ScoredRows, metric_intervals
from training.frame.provenance import provenance
from training.frame.splits import Split
from training.population.build import population_of
from training.registry import registration
from training.registry.compilation import compile_scorer
from training.registry.description import data_notes
from training.registry.versions import newest_version
from training.search.result import SearchResult
from training.search.trial import baseline_metrics
from training.stages.refit import Refitted
from training.use_case.use_case import UseCase


def register(
    use_case: UseCase, refitted: Refitted, result: SearchResult, data: Split, client: MlflowClient
) -> ModelVersion:
    """Compile the refitted winner, score it on the holdout, and register it as the challenger."""
    console.stage(f"Registering {use_case.name}")
    winner = result.best(use_case.search.metric)
    previous = newest_version(client, use_case.name)
    sampled = data.bounded()
    compilation = compile_scorer(refitted.scorer, sampled.holdout.features)
    console.detail(compilation.summary())
    refitted = replace(refitted, scorer=compilation.applied_to(refitted.scorer))
    scorer = refitted.scorer
    predicted, threshold = data.holdout.score(scorer), scorer.response_format.threshold
    metrics = evaluate(use_case.task, data.holdout.y, predicted, threshold)
    on_holdout = {f"holdout_{name}": value for name, value in metrics.items()}
    baseline = baseline_metrics(data.training, data.holdout, use_case.search.seed)
    of_baseline = {f"baseline_{name}": value for name, value in result.baseline.items()}
    of_baseline |= {f"holdout_baseline_{name}": value for name, value in baseline.items()}
    mlflow.log_metrics({**winner.metrics, **on_holdout, **refitted.metrics, **of_baseline})
    mlflow.log_params({"family": winner.candidate.family, **winner.candidate.params})
    rows = ScoredRows(data.holdout.y, predicted, threshold, data.holdout.dependence)
    measured = metric_intervals(list(dict.fromkeys((use_case.search.metric, use_case.promotion.metric))), [rows])
    source = provenance(data, use_case.split, previous)
    intervals = f"Intervals: by resampling {format_draws(rows.resamplings())}"
    notes = (*refitted.notes, *data_notes(data, use_case.split), intervals)
    version = registration.register_version(
        client,
        use_case,
        scorer,
        result,
        source,
        measured,
        notes,
        baseline,
        population_of(scorer, sampled, sampled.holdout.score(scorer), use_case.monitoring, use_case.golden_request),
        **compilation.tags(),
    )
    console.detail(f"{use_case.name} version {version.version} is the challenger")
    for line in str(version.description).splitlines():
        console.detail(line)
    _print_metrics(winner.metrics, result.baseline, metrics, baseline)
    return version


def _print_metrics(*columns: Mapping[str, float]) -> None:
    """Print every metric on the folds and on the holdout, each beside the baseline's."""
    header = ["metric", "folds", "baseline", "holdout", "baseline"]
    rows = [[name, *(f"{each[name]:.4f}" if name in each else "-" for each in columns)] for name in columns[2]]
    console.table(header, rows)
