"""The description of a version: what a reader of the registry sees first."""

from collections.abc import Mapping, Sequence
from typing import Any

from lakehouse.console import number_of
from training.evaluation.bootstrap import Interval
from training.frame.provenance import Provenance
from training.models import FAMILIES
from training.search.blend_candidate import in_words
from training.search.result import SearchResult
from training.space.joint_space import Candidate
from training.space.left_out_inputs import left_out, others
from training.use_case.use_case import UseCase

_CUT_SHORT = {
    "out_of_time": " of a search that ran out of time",
    "interrupted": " of a search that was interrupted",
}


def describe(
    found: SearchResult,
    use_case: UseCase,
    data: Provenance,
    holdout: Mapping[str, Interval],
    told: Sequence[str] = (),
) -> str:
    """The version in words: which hyperparameters and inputs, how good and how sure, and which new data.

    Args:
        told: what else is to be said of it, in sentences.
    """
    winner = found.best(use_case.search.metric)
    chosen = Candidate(winner.candidate.family, others(winner.candidate.params))
    params = in_words(chosen, _shown)
    passed_over = left_out(winner.candidate.params)
    without = f"It leaves out {_listed(passed_over)}. " if passed_over else ""
    more = "".join(f"{sentence} " for sentence in told)
    tables = ", ".join(f"{table} (version {version})" for table, version in sorted(data.sources.items()))
    sure = ", ".join(f"{name} {interval}" for name, interval in holdout.items())
    confidence = next((f"{interval.confidence:.0%}" for interval in holdout.values()), "")
    return (
        f"{FAMILIES[winner.candidate.family].heading} with {params}. {without}"
        f"{use_case.search.metric} {winner.metrics[use_case.search.metric]:.4f} "
        f"{_of_folds(len(winner.per_fold), use_case)}, the best of {number_of('trial', len(found.searched))}"
        f"{_CUT_SHORT.get(found.stop_reason, '')}. {_no_worse(found.unbeaten_baseline(use_case.search.metric))}"
        f"On the {data.holdout_rows:,} rows of the holdout {sure}, with bounds of {confidence} confidence. {more}"
        f"Trained on {data.rows:,} rows from {data.first:%Y-%m-%d} to {data.last:%Y-%m-%d} ({_news(data)}). "
        f"Read from {tables}."
    )


def _of_folds(folds: int, use_case: UseCase) -> str:
    return f"as the mean of {folds} folds {use_case.split.told}" if folds > 1 else "on one fold"


def _no_worse(guessed: float | None) -> str:
    return "" if guessed is None else f"Guessing is no worse, and reaches {guessed:.4f}. "


def _news(data: Provenance) -> str:
    if data.new_rows is None:
        return "the first version"
    since = f", from {data.new_from:%Y-%m-%d} on" if data.new_from else ""
    return f"{data.new_rows:,} rows newer than the version before{since}"


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
