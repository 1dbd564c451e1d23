"""How the hyperparameters are searched, as a use case says it."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from lakehouse.declaration import Declaration, known_word
from training.evaluation.metrics import METRICS
from training.models import SEARCHED
from training.space.joint_space import JointSpace
from training.space.left_out_inputs import require_known
from training.use_case.narrowing import Range, joint_space

Method = Literal["grid", "random", "tpe"]


Engine = Literal["hyperopt", "optuna"]


ExecutorName = Literal["in_process", "processes", "spark_trials", "spark_connect"]


class SearchPlan(Declaration):
    """The search of a use case.

    Attributes:
        max_evals: how many trials; of a grid, how many points it may have.
        max_minutes: after which no trial begins, and none that runs is waited for; in process, the one that runs ends
            first.
        prune: stops a trial that is behind the median of those before it over the same folds; unsaid, wherever trials
            have an order, but no point of a grid.
        parallelism: how many trials run at once.
        executor: where they run; unsaid, in this process where one runs at a time and has no limits of its own, and
            else in processes.
        trial_timeout_s: seconds after which a trial is ended.
        trial_memory_mb: what a trial may take, beside the data that all share.
        blend: of how many of the best trials a blend is tried when the search has ended; 0: of none.
        space: by family and dimension the range or the values that are searched, in place of the declared ones.
        leave_out: the raw inputs that a trial may do without, each by itself or a list that goes together; `auto`:
            every input of the tables.
    """

    method: Method = "tpe"
    engine: Engine = "hyperopt"
    max_evals: int = Field(default=40, ge=1)
    max_minutes: float | None = Field(default=None, gt=0)
    metric: str = Field(default="roc_auc", json_schema_extra={"enum": [*METRICS]})
    families: tuple[Annotated[str, Field(json_schema_extra={"enum": [*SEARCHED]})], ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    prune: bool | None = None
    blend: int = Field(default=5, ge=0, le=10)
    parallelism: int = Field(default=1, ge=1, le=128)
    executor: ExecutorName | None = None
    trial_timeout_s: float | None = Field(default=None, gt=0)
    trial_memory_mb: int | None = Field(default=None, ge=64)
    space: dict[str, dict[str, Range | tuple[int | float | str | bool | None, ...]]] = Field(default_factory=dict)
    leave_out: Literal["auto"] | tuple[str | tuple[str, ...], ...] = ()

    @field_validator("metric")
    @classmethod
    def _metric_is_known(cls, metric: str) -> str:
        return known_word("metric", metric, list(METRICS))

    @field_validator("families")
    @classmethod
    def _families_are_known(cls, families: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(families)) < len(families):
            raise ValueError(f"named twice in {', '.join(families)}")
        return tuple(known_word("family", family, list(SEARCHED)) for family in families)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        limited = self.trial_timeout_s is not None or self.trial_memory_mb is not None
        on_spark_trials = self.executor == "spark_trials"
        problems = {
            "in_process runs one trial at a time: say executor: processes": (
                self.executor == "in_process" and self.parallelism > 1
            ),
            "only processes can be ended: trial_timeout_s and trial_memory_mb need executor: processes": (
                limited and self.runs_on != "processes"
            ),
            "spark_trials is hyperopt's own: it needs engine: hyperopt and method: tpe or random": (
                on_spark_trials and (self.engine != "hyperopt" or self.method == "grid")
            ),
            "spark_trials has no order in which a trial could be compared with earlier ones: leave out prune": (
                on_spark_trials and self.prunes
            ),
        }
        if found := [problem for problem, is_there in problems.items() if is_there]:
            raise ValueError(found[0])
        self.joint_space()  # refuses what cannot be
        return self

    def joint_space(self) -> JointSpace:
        """The space that is searched; of `leave_out: auto` what there is depends on the tables: see `on`.

        Raises:
            SpaceRefused: `space` narrows what no family has, or to what cannot be.
        """
        of_classes = METRICS[self.metric].tasks != {"regression"}
        return joint_space(self.families, self.space, self._groups(), of_classes=of_classes)

    def on(self, inputs: Sequence[str]) -> "SearchPlan":
        """The search of these raw inputs, each that may be left out by its name.

        Raises:
            SpaceRefused: `leave_out` names an input that is not there.
        """
        if self.leave_out == "auto":
            return self.model_copy(update={"leave_out": tuple(inputs)})
        require_known(self._groups(), inputs)
        return self

    def _groups(self) -> list[tuple[str, ...]]:
        if self.leave_out == "auto":
            return []
        return [(group,) if isinstance(group, str) else group for group in self.leave_out]

    @property
    def runs_on(self) -> ExecutorName:
        """The executor that is meant."""
        if self.executor is not None:
            return self.executor
        alone = self.parallelism == 1 and self.trial_timeout_s is None and self.trial_memory_mb is None
        return "in_process" if alone else "processes"

    @property
    def prunes(self) -> bool:
        """Whether poor trials are stopped early."""
        if self.prune is not None:
            return self.prune
        return self.method != "grid" and self.executor != "spark_trials"

    @property
    def ahead(self) -> int:
        """How many trials are asked for beyond the last that was told: enough that none waits for the slowest."""
        return 1 if self.parallelism == 1 else 2 * self.parallelism
