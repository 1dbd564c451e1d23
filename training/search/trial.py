"""One trial: a candidate, scored on every fold."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic
from typing import Literal

import numpy as np

from lakehouse.arrays import Floats
from scoring.estimators.early_stopping import FitOutOfTime
from training.evaluation.metrics import METRICS, evaluate, evaluate_baseline
from training.frame.drawing import numbered
from training.frame.frame import TrainingFrame
from training.frame.splits import Fold
from training.networks.rungs import FitStopped
from training.search.ensemble_candidates import blend_members
from training.search.fitting import fit, predict
from training.search.pruning.halving import HalvingWatch, RungLimits
from training.search.pruning.medians import PruningThreshold
from training.space.joint_space import Candidate
from training.spark_ml.feature_columns import SparkFailed

MetricValues = dict[str, float]
EarlyStop = Literal["timeout", "out_of_memory", "pruned"]
TrialStatus = Literal["ok", "failed"] | EarlyStop
BASELINE = 0  # number of the baseline (dummy) trial; it is not part of the search, and never the best
BASELINE_CANDIDATE = Candidate("dummy", {})


@dataclass(frozen=True)
class TrialSpec:
    """A trial to run.

    Attributes:
        threshold: what prunes the trial after a fold.
        rungs: what prunes a network after epochs.
        deadline: time of `monotonic` in this process. A booster stops then; any other trial stops after a fold from
            which on, at the pace of the folds so far, it would end later.
    """

    number: int
    candidate: Candidate
    threshold: PruningThreshold | None = None
    rungs: RungLimits | None = None
    deadline: float | None = None


@dataclass(frozen=True)
class Trial:
    """Result of a candidate.

    Attributes:
        metrics: mean of each metric over the folds; empty if the trial is not complete.
        per_fold: metrics of each fold in order; a pruned trial has the folds before it stopped.
        error: reason why the trial is not complete, or None.
        stopped: cause of an early stop, if the executor or pruning ended the trial.
        predictions: predictions of each fold's validation rows, of (rows,) or (rows, classes). None unless the trial
            is complete and ran in this search on this machine; a record of a trial has none.
        rungs: losses of a network on its validation rows at the rungs of successive halving, in the first fold.
        origin: what proposed the candidate, such as `portfolio`; empty if it is not known.
    """

    number: int
    candidate: Candidate
    metrics: MetricValues
    per_fold: tuple[MetricValues, ...]
    duration: timedelta
    error: str | None = None
    stopped: EarlyStop | None = None
    predictions: tuple[Floats, ...] | None = field(default=None, compare=False, repr=False)
    origin: str = field(default="", compare=False)
    rungs: tuple[float, ...] = ()

    @property
    def status(self) -> TrialStatus:
        return self.stopped or ("ok" if self.error is None else "failed")

    def predictions_of(self, folds: Sequence[Fold]) -> tuple[Floats, ...] | None:
        """The kept predictions, if they are of these folds' validation rows; else None."""
        kept = self.predictions
        lengths = [len(fold.validate) for fold in folds]
        return kept if kept is not None and [len(predicted) for predicted in kept] == lengths else None

    def loss(self, metric: str) -> float:
        """The value that the search minimises; infinite if the trial failed or the metric is not a number."""
        loss = METRICS[metric].loss(self.metrics.get(metric, np.nan))
        return float("inf") if np.isnan(loss) else loss

    def fold_losses(self, metric: str) -> tuple[float, ...]:
        """Loss on each fold that was scored."""
        return tuple(METRICS[metric].loss(fold[metric]) for fold in self.per_fold)


@dataclass(frozen=True)
class Attempt:
    """Runs trials: fits a candidate and scores it on every fold, unless it is pruned.

    It is plain data: an executor may send it to another process or machine.

    Attributes:
        folds: folds that every candidate is scored on.
        threshold: decision threshold of the metrics that need one.
    """

    folds: Sequence[Fold]
    seed: int
    threshold: float

    def __call__(self, spec: TrialSpec) -> Trial:
        """Run the trial. A candidate that cannot be fitted is a failed trial, not an error."""
        start, scored, predicted = monotonic(), list[MetricValues](), list[Floats]()
        watch = None if spec.rungs is None else HalvingWatch(spec.rungs, self.threshold)
        error, stopped = self._score_folds(spec, scored, predicted, watch)
        per_fold = tuple(scored) if error is None or stopped == "pruned" else ()
        complete = per_fold if error is None else ()
        means, duration = fold_means(complete), timedelta(seconds=monotonic() - start)
        predictions = tuple(predicted) if error is None else None
        rungs = tuple(watch.losses) if watch else ()
        return Trial(spec.number, spec.candidate, means, per_fold, duration, error, stopped, predictions, rungs=rungs)

    @property
    def refits(self) -> float:
        """Estimated duration of a refit on all rows of the folds, for each second of a trial."""
        rows = max(len(fold.fit) + len(fold.validate) for fold in self.folds)
        return rows / sum(len(fold.fit) for fold in self.folds)

    def __getstate__(self) -> dict[str, object]:
        # Keys are often texts, which processes cannot share. A fit needs no more than which rows are of one entity.
        return {
            **self.__dict__,
            "folds": [Fold(_with_plain_keys(fold.fit), _with_plain_keys(fold.validate)) for fold in self.folds],
        }

    def _score_folds(
        self,
        spec: TrialSpec,
        per_fold: list[MetricValues],
        predictions: list[Floats],
        watch: HalvingWatch | None,
    ) -> tuple[str | None, EarlyStop | None]:
        """Fill `per_fold` and `predictions`; return the error and the cause of an early stop, if any."""
        start = monotonic()
        try:
            for number, fold in enumerate(self.folds):
                predictions.append(
                    _predicted(spec.candidate, fold, self.seed, None if number else watch, spec.deadline)
                )
                per_fold.append(_scored(spec.candidate, fold, predictions[-1], self.threshold))
                if (end := self._ended_early(spec, per_fold, monotonic() - start)) is not None:
                    return end
        except (FitStopped, FitOutOfTime) as err:
            return str(err), "timeout" if isinstance(err, FitOutOfTime) else "pruned"
        except MemoryError as err:
            return f"MemoryError: {err}", "out_of_memory"
        except SparkFailed as err:
            return err.failed, None
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as err:
            return f"{type(err).__name__}: {err}", None
        return None, None

    def _ended_early(
        self, spec: TrialSpec, per_fold: Sequence[MetricValues], seconds: float
    ) -> tuple[str, EarlyStop] | None:
        """Reason and cause to stop after these folds, which took so long; None to go on."""
        if spec.threshold is not None and (reason := spec.threshold.pruning_reason(per_fold)):
            return reason, "pruned"
        count, remaining = len(per_fold), len(self.folds) - len(per_fold)
        if spec.deadline is None or not remaining:
            return None
        if monotonic() + seconds / count * remaining <= spec.deadline:
            return None
        return f"stopped after fold {count} of {len(self.folds)}: the search has no time for the others", "timeout"


def fold_means(per_fold: Sequence[MetricValues]) -> MetricValues:
    """Mean of each metric over the folds; empty without folds."""
    return {name: float(np.mean([fold[name] for fold in per_fold])) for name in (per_fold[0] if per_fold else ())}


def run_trial(number: int, candidate: Candidate, folds: Sequence[Fold], seed: int, threshold: float) -> Trial:
    """Run one trial outside a search."""
    return Attempt(folds, seed, threshold)(TrialSpec(number, candidate))


def baseline_metrics(training: TrainingFrame, rows: TrainingFrame, seed: int) -> MetricValues:
    """Metrics of the baseline on other rows than it is fitted on."""
    fold = Fold(training, rows)
    return _scored(BASELINE_CANDIDATE, fold, _predicted(BASELINE_CANDIDATE, fold, seed), threshold=0.5)


def best(trials: Sequence[Trial], metric: str) -> Trial:
    """The trial to register, never the baseline: the blend if it beats a selected trial, else the least loss.

    The least loss of many trials is too good: some of its lead is luck. The weights that score the blend on a fold
    are chosen on the other folds, so the blend is compared with `selected_loss`.
    """
    searched = [trial for trial in trials if trial.number != BASELINE]
    singles = [trial for trial in searched if not blend_members(trial.candidate)]
    blends = [trial for trial in searched if blend_members(trial.candidate)]
    for trial in blends:
        if trial.loss(metric) < selected_loss(singles, metric):
            return trial
    return min(searched, key=lambda trial: (trial.loss(metric), trial.number))


def selected_loss(trials: Sequence[Trial], metric: str) -> float:
    """Loss of selecting a trial: on each fold that of the trial with the least loss on the other folds, averaged.

    With fewer than two folds it is the least loss, and infinite if no trial is complete.
    """
    complete = [trial for trial in trials if np.isfinite(trial.loss(metric))]
    most = max((len(trial.per_fold) for trial in complete), default=0)
    if most < 2:
        return min((trial.loss(metric) for trial in complete), default=float("inf"))
    losses = np.array([trial.fold_losses(metric) for trial in complete if len(trial.per_fold) == most])
    others = losses.sum(axis=1, keepdims=True) - losses
    return float(np.mean(losses[np.argmin(others, axis=0), np.arange(most)]))


def _with_plain_keys(frame: TrainingFrame) -> TrainingFrame:
    keys = np.zeros(len(frame), dtype=np.int8) if frame.in_time else numbered(frame.keys)
    return replace(frame, keys=keys, fold_values=None)


def _predicted(
    candidate: Candidate, fold: Fold, seed: int, watch: HalvingWatch | None = None, deadline: float | None = None
) -> Floats:
    return predict(candidate, fit(candidate, fold.fit, seed, watch, deadline), fold.validate)


def _scored(candidate: Candidate, fold: Fold, predicted: Floats, threshold: float) -> MetricValues:
    rows = fold.validate
    if candidate == BASELINE_CANDIDATE:
        return evaluate_baseline(rows.task, rows.y, predicted)
    return evaluate(rows.task, rows.y, predicted, threshold)
