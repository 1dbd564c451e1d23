"""What a report is made from: the run's own results, and what is computed from them when a section asks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.pipeline import Pipeline

from scoring.estimators.calibrated import like
from scoring.scorer import Scorer
from training.evaluation.bootstrap import Interval
from training.evaluation.metrics import METRICS, metrics_of
from training.evaluation.weighted_metrics import ScoredRows, metric_intervals
from training.frame.frame import TrainingFrame
from training.frame.provenance import Provenance
from training.frame.splits import Fold, Split, folds
from training.report.champion_outcomes import Rival
from training.report.environment import Environment
from training.report.tasks import TASKS, ReportTask
from training.search.blend_candidate import members
from training.search.blending import measured
from training.search.fitting import fit
from training.search.trial import Attempt, Trial, run_trial
from training.use_case.use_case import UseCase


@dataclass(frozen=True)
class Tried:
    """The winner fitted on a fold's past, and what it says about the rows that came next."""

    fold: Fold
    scorer: Scorer
    outcomes: ScoredRows


@dataclass(frozen=True)
class Evidence:
    """One training run.

    Attributes:
        trials: in the order they ran.
        winner: the best of them.
        scorer: the winner, refitted on all training rows; what was registered.
        data: training rows and holdout.
        version, description: as registered.
        provenance: which data that was.
        environment: what ran.
        rival: the champion on the same holdout; None where there is none.
        apart: the winner fitted on each fold's rows alone; empty where it must be fitted once more.
            A blend always is.
    """

    use_case: UseCase
    trials: Sequence[Trial]
    winner: Trial
    scorer: Scorer
    data: Split
    version: str
    description: str
    provenance: Provenance
    environment: Environment
    rival: Rival | None
    apart: Sequence[Pipeline] = ()

    @property
    def metric(self) -> str:
        """What the search went by."""
        return self.use_case.search.metric

    @property
    def metrics(self) -> list[str]:
        """Every metric of the task."""
        return metrics_of(self.use_case.task)

    @property
    def task(self) -> ReportTask:
        return TASKS[self.use_case.task]

    @property
    def seed(self) -> int:
        return self.use_case.search.seed

    def loss(self, value: float) -> float:
        """Less is better."""
        return METRICS[self.metric].loss(value)

    def outcomes(self, scorer: Scorer, frame: TrainingFrame) -> ScoredRows:
        return ScoredRows(frame.y, scorer.predicted(frame.features), scorer.answering.threshold)

    @property
    def blended(self) -> bool:
        return bool(members(self.winner.candidate))

    @cached_property
    def tried(self) -> tuple[Tried, ...]:
        """The winner on each fold: trials keep their metrics, and no predictions.

        A blend stands on each as it was measured: its final weights were chosen on all of them.
        """
        cut = list(folds(self.data.training, self.use_case.split, self.seed))
        found = []
        for fold, pipeline in zip(cut, self._fitted(cut), strict=True):
            scorer = replace(self.scorer, pipeline=like(self.scorer.pipeline, pipeline))
            found.append(Tried(fold, scorer, self.outcomes(scorer, fold.validate)))
        return tuple(found)

    def _fitted(self, cut: Sequence[Fold]) -> Sequence[Pipeline]:
        if self.blended:
            plan, threshold = self.use_case.search, self.use_case.answering.threshold
            return measured(self.trials, Attempt(cut, self.seed, threshold), plan.metric, plan.blend)
        return self.apart or [fit(self.winner.candidate, fold.fit, self.seed) for fold in cut]

    @cached_property
    def validation(self) -> ScoredRows:
        """The folds' validation rows one after the other, each scored by a model that had not seen it."""
        parts = [tried.outcomes for tried in self.tried]
        return ScoredRows(
            np.concatenate([rows.labels for rows in parts]),
            np.concatenate([rows.predicted for rows in parts]),
            parts[0].threshold,
        )

    @cached_property
    def holdout(self) -> ScoredRows:
        """The registered version on the holdout."""
        return self.outcomes(self.scorer, self.data.holdout)

    @cached_property
    def fold_metrics(self) -> dict[str, Interval]:
        """Each metric as the mean of the folds."""
        return metric_intervals(self.metrics, [tried.outcomes for tried in self.tried])

    @cached_property
    def holdout_metrics(self) -> dict[str, Interval]:
        return metric_intervals(self.metrics, [self.holdout])

    @cached_property
    def on_random_folds(self) -> float:
        """The winner's metric on folds drawn at random: what a split that ignores time would have promised."""
        frame = self.data.training
        drawn = self.task.random_folds(self.use_case.split.folds + 1, shuffle=True, random_state=self.seed)
        parts = [
            Fold(frame.rows(np.sort(fit_on)), frame.rows(np.sort(validate)))
            for fit_on, validate in drawn.split(frame.x, frame.y)
        ]
        trial = run_trial(
            self.winner.number, self.winner.candidate, parts, self.seed, self.scorer.answering.threshold
        )
        return trial.metrics[self.metric]
