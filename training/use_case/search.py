"""Declaration of a use case's hyperparameter search."""

from collections.abc import Collection, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from lakehouse.declaration import Declaration, known_word
from training.evaluation.metrics import METRICS
from training.models import ON_SPARK, SEARCHED
from training.models.portfolio import PORTFOLIOS
from training.space.joint_space import Candidate, JointSpace
from training.space.left_out_inputs import require_known
from training.use_case.narrowing import CLASSIFICATION_ONLY, RECENCY, Range, joint_space
from training.use_case.search_words import Engine, ExecutorName, Method

FinalForm = Literal["refit", "bag", "auto"]


class SearchPlan(Declaration):
    """The search of a use case.

    Attributes:
        method: `tpe` proposes trials by earlier results, `random` draws them, `grid` tries each point.
        engine: library that proposes trials.
        metric: metric by which trials are ranked, as the mean over the folds.
        families: kinds of models to search.
        seed: start of every random draw; a run with the same seed and data gives the same result.
        max_evals: number of trials; for a grid, the largest number of points.
        max_minutes: time limit of search, stacks, blend, refit and report. Up to two fifths of it are reserved for
            what follows the search. Then no trial starts and running trials are abandoned; `in_process` finishes
            the running one.
        prune: stop a trial that is worse than the median of earlier trials over the same folds, and a network
            that is worse after as many epochs. The default is true, except for a grid and for `spark_trials`.
        parallelism: number of trials that run at once.
        executor: where trials run. The default is `in_process` for one trial at once without limits, and `processes`
            otherwise.
        trial_timeout_s: time limit of a trial, in seconds.
        trial_memory_mb: memory limit of a trial in MiB, in addition to the shared data.
        stacks: largest number of stacks to fit after the search, where the folds validate every training row. A stack
            is a booster that reads the features and the out-of-fold predictions of the best trial of each family; it
            is a trial, and may be a member of the blend.
        blend: largest number of the best trials to blend after the search, at most two of a family or a third of
            them; 0 for no blend.
        final: form of the registered model: `refit` fits the winner on all training rows, `bag` averages the models
            of its folds, `auto` takes the one that measures better on rows that neither has seen, if time allows it.
        portfolio: true starts `tpe` and `random` with the portfolio of each family, a few points that are good on
            many tables, and widens the spaces of the boosters, with early stopping up to 3,000 rounds.
        space: ranges or values to search, by family and dimension, in place of the declared ones.
        recency_weights: false leaves `recency_half_life_days` out of the space, so that old and new rows weigh the
            same. It is always left out where all rows have one time.
        leave_out: raw inputs that a trial may leave out, each an input or a list of inputs left out together; `auto`
            for every input of the tables.
    """

    method: Method = "tpe"
    engine: Engine = "hyperopt"
    max_evals: int = Field(default=40, ge=1)
    max_minutes: float | None = Field(default=None, gt=0)
    metric: str = Field(default="roc_auc", json_schema_extra={"enum": [*METRICS]})
    families: tuple[Annotated[str, Field(json_schema_extra={"enum": [*SEARCHED]})], ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    prune: bool | None = None
    stacks: int = Field(default=0, ge=0, le=4)
    blend: int = Field(default=5, ge=0, le=20)
    final: FinalForm = "refit"
    parallelism: int = Field(default=1, ge=1, le=128)
    executor: ExecutorName | None = None
    trial_timeout_s: float | None = Field(default=None, gt=0)
    trial_memory_mb: int | None = Field(default=None, ge=64)
    portfolio: bool = False
    space: dict[str, dict[str, Range | tuple[int | float | str | bool | None, ...]]] = Field(default_factory=dict)
    recency_weights: bool = True
    leave_out: Literal["auto"] | tuple[str | tuple[str, ...], ...] = ()

    @field_validator("metric")
    @classmethod
    def _metric_is_known(cls, metric: str) -> str:
        return known_word("metric", metric, list(METRICS))

    @field_validator("families")
    @classmethod
    def _families_are_known(cls, families: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(families)) < len(families):
            raise ValueError(f"a family is repeated in {', '.join(families)}")
        return tuple(known_word("family", family, list(SEARCHED)) for family in families)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        limited = self.trial_timeout_s is not None or self.trial_memory_mb is not None
        on_spark_trials = self.executor == "spark_trials"
        on_spark = [name for name in self.families if name in ON_SPARK]
        problems = {
            f"a fit of {' or '.join(on_spark)} is parallel on Spark, so trials run one at a time, in_process: set "
            "parallelism: 1 (--parallelism 1), without `executor` and limits of a trial": bool(on_spark)
            and self.resolved_executor != "in_process",
            "in_process runs one trial at a time: set executor: processes": (
                self.executor == "in_process" and self.parallelism > 1
            ),
            "trial_timeout_s and trial_memory_mb need executor: processes, whose trials can be killed": (
                limited and self.resolved_executor != "processes"
            ),
            "spark_trials is part of hyperopt: it needs engine: hyperopt and method: tpe or random": (
                on_spark_trials and (self.engine != "hyperopt" or self.method == "grid")
            ),
            "a grid has its own order and points: remove `portfolio`": self.portfolio and self.method == "grid",
            "pruning is not supported with executor spark_trials: remove `prune`": (
                on_spark_trials and self.pruning_enabled
            ),
        }
        if found := [problem for problem, applies in problems.items() if applies]:
            raise ValueError(found[0])
        self.joint_space()  # raises for an invalid space
        return self

    def joint_space(self) -> JointSpace:
        """The search space; the inputs of `leave_out: auto` are missing until `with_inputs`.

        Raises:
            SpaceRefused: `space` names an unknown family or dimension, or invalid values.
        """
        classification = any(task.predicts_classes for task in METRICS[self.metric].tasks)
        absent = frozenset() if classification else CLASSIFICATION_ONLY
        if not self.recency_weights:
            absent |= {RECENCY}
        return joint_space(self.families, self.space, self._groups(), absent, portfolio=self.portfolio)

    def origin(self, candidate: Candidate) -> str:
        """Name what proposes the candidate: `portfolio`, `default`, or the method and its engine."""
        if self.method == "grid":
            return "grid"
        if candidate not in self.joint_space().initial:
            return f"{self.method} by {self.engine}"
        return "portfolio" if self.portfolio and candidate.family in PORTFOLIOS else "default"

    def with_inputs(self, inputs: Sequence[str], constant: Collection[str] = ()) -> "SearchPlan":
        """The plan for tables with these raw inputs: replaces `leave_out: auto` by their names.

        Args:
            inputs: the inputs of the model.
            constant: inputs that the model lacks already; a trial need not choose whether to leave them out.

        Raises:
            SpaceRefused: `leave_out` names an unknown input.
        """
        if self.leave_out == "auto":
            return self.model_copy(update={"leave_out": tuple(inputs)})
        require_known(self._groups(), [*inputs, *constant])
        if not any(column in constant for group in self._groups() for column in group):
            return self
        varying = (tuple(column for column in group if column not in constant) for group in self._groups())
        return self.model_copy(update={"leave_out": tuple(group for group in varying if group)})

    def without_recency(self) -> "SearchPlan":
        """The plan for rows of one time, of which none is newer: no family has `recency_half_life_days`."""
        space = {
            family: {name: values for name, values in narrowed.items() if name != RECENCY}
            for family, narrowed in self.space.items()
        }
        return self.model_copy(update={"recency_weights": False, "space": space})

    def without_families(self, names: Collection[str]) -> "SearchPlan":
        """The plan without some of its families and their ranges."""
        families = tuple(family for family in self.families if family not in names)
        space = {family: narrowed for family, narrowed in self.space.items() if family in families}
        return self.model_copy(update={"families": families, "space": space})

    def _groups(self) -> list[tuple[str, ...]]:
        if self.leave_out == "auto":
            return []
        return [(group,) if isinstance(group, str) else group for group in self.leave_out]

    @property
    def resolved_executor(self) -> ExecutorName:
        """The executor, or its default."""
        if self.executor is not None:
            return self.executor
        sequential = self.parallelism == 1 and self.trial_timeout_s is None and self.trial_memory_mb is None
        return "in_process" if sequential else "processes"

    @property
    def max_seconds(self) -> float | None:
        """The time limit in seconds, or None."""
        return None if self.max_minutes is None else self.max_minutes * 60

    @property
    def pruning_enabled(self) -> bool:
        """True if poor trials are stopped early."""
        if self.prune is not None:
            return self.prune
        return self.method != "grid" and self.executor != "spark_trials"

    def final_fits(self, folds: int) -> tuple[float, ...]:
        """Fit time beside a refit of the forms of the final model, for each second of a trial, the preferred first.

        `auto` compares bag and refit inside all folds, or fewer, or none.
        """
        auto = (*map(bag_fits, range(folds, 0, -1)), 0.0)
        return {"refit": (0.0,), "bag": (bag_fits(0),), "auto": auto}[self.final]

    @property
    def lookahead(self) -> int:
        """Number of trials to ask for beyond the last reported one: enough that no worker waits for the slowest."""
        return 1 if self.parallelism == 1 else 2 * self.parallelism


def bag_fits(compared: int) -> float:
    """Fit time of a bag that is compared with a refit inside of so many folds, for each second of a trial."""
    return 1.0 + compared
