"""The description of a version: labelled facts, one a line, for the registry, the console and the report."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from lakehouse.wording import format_dates, format_number
from training.evaluation.bootstrap import Interval
from training.evaluation.metrics import METRICS
from training.frame.constants import format_constants
from training.frame.provenance import Provenance
from training.frame.splits import Split
from training.models import FAMILIES
from training.search.ensemble_candidates import format_candidate
from training.search.fitting import SAMPLE_ROWS
from training.search.result import SearchResult
from training.space.joint_space import Candidate
from training.space.left_out_inputs import hyperparameters, left_out_inputs
from training.use_case.split import SplitPlan
from training.use_case.use_case import UseCase

_CUT_SHORT = {"out_of_time": "; search ran out of time", "interrupted": "; search interrupted"}


def describe(  # noqa: PLR0913, PLR0917  (the content of a description)
    result: SearchResult,
    use_case: UseCase,
    data: Provenance,
    holdout: Mapping[str, Interval],
    notes: Sequence[str] = (),
    baseline: Mapping[str, float] = MappingProxyType({}),
) -> str:
    """Describe the version as lines of `label: value`.

    Args:
        holdout: metrics on the holdout, by name.
        notes: further lines, as `Calibration: ...`.
        baseline: metrics of the baseline on the holdout, by name.
    """
    return "\n".join(
        (
            *_model(result.best(use_case.search.metric).candidate),
            *_search(result, use_case),
            f"Holdout: {_format_metrics(holdout, baseline)}{data.holdout_rows:,} rows",
            *_unbeaten(holdout, baseline),
            *notes,
            f"Trained on: {data.rows:,} rows, {format_dates(data.first, data.last)}; {_new_rows(data)}",
            f"Data: {', '.join(f'{table} v{version}' for table, version in sorted(data.sources.items()))}",
        )
    )


def data_notes(data: Split, plan: SplitPlan) -> Iterator[str]:
    """Lines on the rows of a training run that a reader of its metrics must know."""
    if data.training.constant:
        yield f"Constant features: {format_constants(data.training.constant)}; left out of the model"
    seen, rows = data.seen_rows, len(data.holdout)
    yield f"Entities: {seen:,} of {rows:,} holdout rows ({seen / rows:.1%}) are of entities with training rows"
    if plan.gap is not None:
        dropped = f"{data.gap_rows:,} rows dropped before the holdout"
        yield f"Gap: {format_number(plan.gap)} days before the holdout and each fold; {dropped}"


def split_lines(description: str) -> list[tuple[str, str]]:
    """Labels and values of a description.

    >>> split_lines("Model: kNN (n neighbors 5)\\nHoldout: roc_auc 0.7")
    [('Model', 'kNN (n neighbors 5)'), ('Holdout', 'roc_auc 0.7')]
    """
    return [(label, value) for label, _, value in (line.partition(": ") for line in description.splitlines())]


def _model(candidate: Candidate) -> Iterator[str]:
    params = format_candidate(Candidate(candidate.family, hyperparameters(candidate.params)), _format_value)
    name = FAMILIES[candidate.family].capitalised_name
    yield f"Model: {name} ({params})" if params else f"Model: {name}"
    if left_out := left_out_inputs(candidate.params):
        yield f"Left-out inputs: {', '.join(left_out)}"


def _search(result: SearchResult, use_case: UseCase) -> Iterator[str]:
    metric = use_case.search.metric
    winner = result.best(metric)
    baseline = f" (baseline {result.baseline[metric]:.4f})" if metric in result.baseline else ""
    folds = len(winner.per_fold)
    scored_on = f"mean of {folds} folds {use_case.split.kind.order}" if folds > 1 else "one fold"
    cut_short = _CUT_SHORT.get(result.stop_reason, "")
    yield f"Search: {metric} {winner.metrics[metric]:.4f}{baseline}, {scored_on}; best of {result.count}{cut_short}"
    if (rows := winner.candidate.params.get(SAMPLE_ROWS)) is not None:
        yield f"Sample: fitted on at most {rows:,} random rows, since no trial succeeded in time"
    if (unbeaten := result.unbeaten_baseline(metric)) is not None:
        yield f"Baseline: not beaten; it reaches {metric} {unbeaten:.4f}"


def _format_metrics(metrics: Mapping[str, Interval], baseline: Mapping[str, float]) -> str:
    parts = []
    for name, found in metrics.items():
        beside = f"baseline {baseline[name]:.4f}, " if name in baseline else ""
        interval = f"{found.confidence:.0%} interval {found.low:.4f} to {found.high:.4f}"
        parts.append(f"{name} {found.value:.4f} ({beside}{interval}), ")
    return "".join(parts)


def _unbeaten(metrics: Mapping[str, Interval], baseline: Mapping[str, float]) -> Iterator[str]:
    unbeaten = [
        f"{name} {baseline[name]:.4f}"
        for name, found in metrics.items()
        if name in baseline and METRICS[name].gain(found.value, over=baseline[name]) <= 0
    ]
    if unbeaten:
        yield f"Baseline on the holdout: not beaten; it reaches {', '.join(unbeaten)}"


def _new_rows(data: Provenance) -> str:
    if data.new_rows is None:
        return "first version"
    since = f", from {data.new_from:%Y-%m-%d} on" if data.new_from else ""
    return f"{data.new_rows:,} rows newer than the previous version{since}"


def _format_value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
