"""A use case is one file: `training/use_cases/NAME.yml`, checked key by key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from lakehouse.declaration import Declaration, known_word
from lakehouse.errors import LakehouseError, nearest
from scoring.hooks import HookRefused, Hooks
from scoring.scorer import FIELDS, Answering
from training.evaluation.metrics import METRICS, Task, metrics_of
from training.evaluation.threshold import ThresholdRule
from training.models import FAMILIES, SEARCHED
from training.use_case.narrowing import Range
from training.use_case.promotion import PromotionCriteria
from training.use_case.search import SearchPlan
from training.use_case.serving import ServingPlan


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error; the last one would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        if doubled := {key for key in keys if keys.count(key) > 1}:
            raise yaml.YAMLError(f"{sorted(doubled)} stand(s) twice")
        return super().construct_mapping(node, deep)


FOLDER = Path(__file__).parent.parent / "use_cases"


class UseCaseRefused(LakehouseError):
    """The use-case file is missing or says something that cannot be."""

    @classmethod
    def unknown(cls, name: str, known: list[str], folder: Path) -> Self:
        return cls(f"there is no use case '{name}'. {nearest(name, known)}", hint=f"Use cases are files in {folder}.")

    @classmethod
    def invalid(cls, path: Path, problems: list[str]) -> Self:
        return cls(f"{path.name} is no valid use case:\n  " + "\n  ".join(problems), hint=f"Correct {path}.")

    @classmethod
    def options(cls, problems: list[str]) -> Self:
        return cls("the options cannot be:\n  " + "\n  ".join(problems), hint="python -m training.run --help")


class LabelTable(Declaration):
    """The spine: which entity (one column or several), when, and what came of it.

    Attributes:
        classes: of `multiclass` every label that there can be.
    """

    table: str
    entity: str | tuple[str, ...] = Field(min_length=1)
    timestamp: str
    column: str
    classes: tuple[int | str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the entity."""
        return (self.entity,) if isinstance(self.entity, str) else self.entity


class LookupDeclaration(Declaration):
    """A feature table to look up, less the features named in `exclude`.

    A row of the spine that finds nothing there is refused, or left out and counted.
    """

    table: str
    exclude: tuple[str, ...] = ()
    lookback_days: int | None = Field(default=None, ge=1)
    missing: Literal["refuse", "leave_out"] = "refuse"


class SplitPlan(Declaration):
    """The holdout, which no trial sees, and the folds of the rest.

    Attributes:
        by: `time`: the last rows are the holdout, and each fold validates on what came after all it was fitted on;
            `window`: one fold, as long as the holdout and just before it; `group`: an entity is on one side, whatever
            its time; `stratified`: so too, and folds have the classes in equal shares.
        holdout: its share of the rows; of `group` and `stratified`, of the entities.
    """

    by: Literal["time", "window", "group", "stratified"] = "time"
    holdout: float = Field(default=0.15, gt=0, lt=0.5)
    folds: int = Field(default=4, ge=1, le=20)

    @model_validator(mode="after")
    def _has_folds(self) -> Self:
        if not self.in_time and self.folds < 2:
            raise ValueError(f"folds by {self.by} are at least 2: each validates on what the others are fitted on")
        if self.by == "window" and "folds" in self.model_fields_set:
            raise ValueError("a window is one fold: leave out folds, or say by: time")
        return self

    @property
    def in_time(self) -> bool:
        """Whether what is validated on, and the holdout, come after what was fitted on."""
        return self.by in {"time", "window"}

    @property
    def told(self) -> str:
        """How the folds were cut, as a sentence goes on."""
        return {
            "time": "in order of time",
            "window": "in order of time",
            "group": "that share no entity",
            "stratified": "drawn by label",
        }[self.by]


class UseCase(Declaration):
    """One use case, as its file says it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    task: Task
    labels: LabelTable
    features: tuple[LookupDeclaration, ...] = Field(min_length=1)
    split: SplitPlan = SplitPlan()
    search: SearchPlan
    promotion: PromotionCriteria
    serving: ServingPlan
    golden_request: dict[str, Any]

    @model_validator(mode="after")
    def _tables_differ(self) -> Self:
        tables = [lookup.table for lookup in self.features]
        if len(set(tables)) < len(tables):
            raise ValueError(f"features name a table twice: {tables}")
        return self

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        if (self.task == "multiclass") != bool(self.labels.classes):
            raise ValueError("labels.classes lists every label of a multiclass task, and of no other")
        if len(set(self.labels.classes)) < len(self.labels.classes) or len(self.labels.classes) in {1, 2}:
            raise ValueError(f"labels.classes are at least 3, each once: {self.labels.classes}; of two, task: binary")
        for metric in (self.search.metric, self.promotion.metric):
            known_word(f"metric of {self.task}", metric, metrics_of(self.task))
        able = [name for name in SEARCHED if self.task in FAMILIES[name].tasks]
        for family in self.search.families:
            known_word(f"family for {self.task}", family, able)
        for field in self.serving.fields or ():
            known_word(f"field of an answer to {self.task}", field, list(FIELDS[self.task]))
        if unfit := self.promotion.guards.unfit(self.task):
            raise ValueError(f"promotion.guards: {unfit} cannot be judged of a {self.task} task")
        tuned = isinstance(self.serving.threshold, ThresholdRule)
        if self.task != "binary" and (tuned or self.serving.calibration != "none"):
            raise ValueError(f"a tuned threshold and calibration are of binary labels, and this task is {self.task}")
        if tuned and METRICS[self.search.metric].decides:
            raise ValueError(
                f"search.metric {self.search.metric} compares decisions, and their threshold is tuned after the "
                "search: search by average_precision, roc_auc or log_loss, or say a number"
            )
        if self.split.by == "stratified" and self.task == "regression":
            raise ValueError("split by stratified draws by label, and a regression has none: say by: group")
        return self

    @model_validator(mode="after")
    def _hooks_fit(self) -> Self:
        try:
            self.hooks()
        except HookRefused as err:
            raise ValueError(err.failed) from err
        return self

    @property
    def classes(self) -> tuple[int | str, ...]:
        """Every label, in the order that models keep; none of a regression."""
        return {"binary": (0, 1), "multiclass": self.labels.classes, "regression": ()}[self.task]

    @property
    def answering(self) -> Answering:
        """What an answer of the model is made of, before the hook; a threshold to be tuned is not yet."""
        fields = self.serving.fields or FIELDS[self.task][:2]
        return Answering(fields, self.serving.before_tuning, self.task, self.classes)

    def hooks(self) -> Hooks:
        """The use case's own code, tried on the golden request.

        Raises:
            HookRefused: it cannot be used; a use case that was loaded had hooks that could.
        """
        serving = self.serving
        return Hooks.find(serving.preprocess, serving.postprocess, self.golden_request, self.answering.samples())


def load(name: str, folder: Path = FOLDER) -> UseCase:
    """Read one use case.

    Raises:
        UseCaseRefused: no such file, no YAML, an unknown key, or a value that cannot be.
    """
    path = folder / f"{name}.yml"
    known = sorted(file.stem for file in folder.glob("*.yml"))
    if name not in known:
        raise UseCaseRefused.unknown(name, known, folder)
    try:
        use_case = UseCase.model_validate(yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys))  # noqa: S506  (it is a SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise UseCaseRefused.invalid(path, [f"no YAML: {err}"]) from err
    except ValidationError as err:
        raise UseCaseRefused.invalid(path, [_problem(error) for error in err.errors()]) from err
    if use_case.name != name:
        raise UseCaseRefused.invalid(path, [f"name is '{use_case.name}', the file's is '{name}'"])
    return use_case


def with_search(use_case: UseCase, changes: Mapping[str, object]) -> UseCase:
    """The use case with other settings of its search.

    Raises:
        UseCaseRefused: one of them cannot be.
    """
    said = use_case.model_dump(exclude_unset=True)
    try:
        return UseCase.model_validate({**said, "search": {**said["search"], **changes}})
    except ValidationError as err:
        raise UseCaseRefused.options([_problem(error, "the use case") for error in err.errors()]) from err


def load_all(folder: Path = FOLDER) -> list[UseCase]:
    """Every use case, ordered by name.

    Raises:
        UseCaseRefused: one of them is not valid.
    """
    return [load(file.stem, folder) for file in sorted(folder.glob("*.yml"))]


def _problem(error: Any, whole: str = "the file") -> str:
    path = ".".join(str(part) for part in error["loc"] if part not in TAGS) or whole
    if error["type"] == "extra_forbidden":
        return f"{path}: no such key. {nearest(str(error['loc'][-1]), _keys_beside(error['loc']))}"
    told = f"{path}: {error['msg'].removeprefix('Value error, ')}"
    # What is missing, or does not fit together, has all of its neighbours for its value.
    return told if isinstance(error["input"], Mapping) else f"{told} (got {error['input']!r})"


# What pydantic calls the alternatives of a value, in the path to an error.
TAGS = ("number", "rule")
PARTS: Mapping[int | str, Any] = {Range.__name__: Range, "rule": ThresholdRule}


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    part: Any = UseCase
    for step in location[:-1]:
        if step in PARTS:
            part = PARTS[step]
        elif isinstance(step, str) and hasattr(part, "model_fields"):
            annotation = part.model_fields[step].annotation
            part = annotation if hasattr(annotation, "model_fields") else annotation.__args__[0]
    return list(part.model_fields)
