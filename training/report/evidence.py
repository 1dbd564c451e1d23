"""Inputs of a report: the results of the run, and values derived from them on demand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.pipeline import Pipeline

from lakehouse.arrays import Floats
from scoring.estimators.calibrated import calibrated_like, with_curve_of
from scoring.scorer import Scorer
from scoring.tasks import Task
from training.budget import NO_LIMIT, Budget
from training.evaluation.bootstrap import Interval
from training.evaluation.metrics import METRICS, metrics_of
from training.evaluation.resampling import Dependence
from training.evaluation.weighted_metrics import ScoredRows, gain_intervals, metric_intervals
from training.frame.frame import TrainingFrame
from training.frame.provenance import Provenance
from training.frame.splits import Fold, Split, folds
from training.models import FAMILIES
from training.report.champion_outcomes import ChampionOutcomes
from training.report.environment import Environment
from training.search.blending import blends_of_folds
from training.search.ensemble_candidates import CANDIDATES, blend_members
from training.search.fitting import fit
from training.search.result import fit_seconds
from training.search.trial import BASELINE, Attempt, Trial, baseline_metrics, run_trial
from training.use_case.use_case import UseCase

SHORT_SECONDS = 2.0  # fits as short as that are done even where the time has run out


@dataclass(frozen=True)
class FoldResult:
    """Predictions of a fold's validation rows, by the winner fitted on the training rows of the fold."""

    fold: Fold
    outcomes: ScoredRows


@dataclass(frozen=True)
class Evidence:
    """One training run.

    Attributes:
        trials: in the order they ran.
        winner: the best trial.
        scorer: the registered version: the winner, refitted on all training rows.
        data: training rows and holdout.
        version, description: as registered.
        provenance: training rows, holdout and table versions.
        environment: commit, interpreter and packages.
        champion: the champion on the same holdout; None without one.
        fold_pipelines: the winner fitted on the training rows of each fold; empty if it must be fitted again.
            A blend always is.
        budget: the time of the training run. Sections that need more fits than it allows are left out.
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
    champion: ChampionOutcomes | None
    fold_pipelines: Sequence[Pipeline] = ()
    budget: Budget = NO_LIMIT

    @property
    def metric(self) -> str:
        """The metric that the search optimises."""
        return self.use_case.search.metric

    @property
    def metrics(self) -> list[str]:
        """All metrics of the task."""
        return metrics_of(self.use_case.task)

    @property
    def task(self) -> Task:
        return self.use_case.task

    @property
    def seed(self) -> int:
        return self.use_case.search.seed

    @cached_property
    def sampled(self) -> Split:
        """Training rows and holdout in this process; of features on Spark a bounded sample."""
        return self.data.bounded()

    def loss(self, value: float) -> float:
        """The loss of a metric value; less is better."""
        return METRICS[self.metric].loss(value)

    def outcomes(self, scorer: Scorer, frame: TrainingFrame) -> ScoredRows:
        return self._rows(frame, frame.score(scorer), scorer)

    def _rows(self, frame: TrainingFrame, predicted: Floats, scorer: Scorer | None = None) -> ScoredRows:
        threshold = (scorer or self.scorer).response_format.threshold
        return ScoredRows(frame.y, predicted, threshold, frame.dependence)

    @property
    def is_blend(self) -> bool:
        return bool(blend_members(self.winner.candidate))

    @cached_property
    def fold_results(self) -> tuple[FoldResult, ...]:
        """The winner on each fold, by the predictions of its trial or else by fitting it again."""
        if (kept := self.winner.predictions_of(self.folds)) is None:
            return tuple(
                FoldResult(fold, self.outcomes(scorer, fold.validate))
                for fold, scorer in zip(self.folds, self.fold_scorers, strict=True)
            )
        return tuple(
            FoldResult(fold, self._rows(fold.validate, calibrated_like(self.scorer.pipeline, predicted)))
            for fold, predicted in zip(self.folds, kept, strict=True)
        )

    @cached_property
    def folds(self) -> Sequence[Fold]:
        return list(folds(self.data.training, self.use_case.split, self.seed))

    @cached_property
    def fold_scorers(self) -> Sequence[Scorer]:
        """The winner fitted on the training rows of each fold.

        A blend has per fold the weights that its trial measured: its final weights were chosen on all folds.
        """
        curve = self.scorer.pipeline
        matrix_format = FAMILIES[self.winner.candidate.family].matrix_format  # that of a bag may be another
        return [
            replace(self.scorer, pipeline=with_curve_of(curve, pipeline), matrix_format=matrix_format)
            for pipeline in self._fitted(self.folds)
        ]

    def too_slow(self, trials: float) -> str | None:
        """Why there is no time for work as long as so many of the winner's trials; None if there is."""
        seconds = trials * fit_seconds([self.winner.candidate], self.trials)
        if seconds <= SHORT_SECONDS or self.budget.allows(seconds):
            return None
        return (
            f"Left out: it fits the winner again, which takes about {seconds:.0f} s, and {self.budget.left():.0f} s "
            f"were left. A longer max_minutes has time for it"
        )

    def _fitted(self, all_folds: Sequence[Fold]) -> Sequence[Pipeline]:
        if self.is_blend:
            attempt = Attempt(all_folds, self.seed, self.use_case.response_format.threshold)
            most = int(str(self.winner.candidate.params.get(CANDIDATES, self.use_case.search.blend)))
            return blends_of_folds(self.trials, attempt, self.metric, most)
        return self.fold_pipelines or [fit(self.winner.candidate, fold.fit, self.seed) for fold in all_folds]

    @cached_property
    def validation(self) -> ScoredRows:
        """Validation rows of all folds, each predicted by a model that was not fitted on it."""
        outcomes = [result.outcomes for result in self.fold_results]
        return ScoredRows(
            np.concatenate([rows.labels for rows in outcomes]),
            np.concatenate([rows.predicted for rows in outcomes]),
            outcomes[0].threshold,
            Dependence.joined([rows.dependence for rows in outcomes]),
        )

    @cached_property
    def holdout(self) -> ScoredRows:
        """Predictions of the registered version on the holdout."""
        return self.outcomes(self.scorer, self.data.holdout)

    @cached_property
    def fold_metrics(self) -> dict[str, Interval]:
        """Mean of each metric over the folds."""
        return metric_intervals(self.metrics, [result.outcomes for result in self.fold_results])

    @cached_property
    def holdout_metrics(self) -> dict[str, Interval]:
        return metric_intervals(self.metrics, [self.holdout])

    @cached_property
    def baseline_on_folds(self) -> dict[str, float]:
        """Metrics of trial 0, means of the folds; empty without it."""
        return next((trial.metrics for trial in self.trials if trial.number == BASELINE), {})

    @cached_property
    def baseline_on_holdout(self) -> dict[str, float]:
        return baseline_metrics(self.data.training, self.data.holdout, self.seed)

    @cached_property
    def champion_gains(self) -> dict[str, Interval]:
        """Gain of each metric over the champion on the holdout; empty if the champion has no predictions."""
        if self.champion is None or self.champion.outcomes is None:
            return {}
        return gain_intervals(self.metrics, self.holdout, self.champion.outcomes)

    @cached_property
    def random_folds_metric(self) -> float:
        """The winner's metric on randomly drawn folds: the estimate of a split that ignores time."""
        frame = self.data.training
        drawn = self.task.random_folds(self.use_case.split.folds + 1, self.seed)
        random_folds = [
            Fold(frame.rows(np.sort(fit_on)), frame.rows(np.sort(validate)))
            for fit_on, validate in drawn.split(frame.x, frame.y)
        ]
        trial = run_trial(
            self.winner.number, self.winner.candidate, random_folds, self.seed, self.scorer.response_format.threshold
        )
        return trial.metrics[self.metric]
