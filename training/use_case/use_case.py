"""A use case: one file `training/use_cases/NAME.yml`, checked key by key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, GetPydanticSchema, ValidationError, field_validator, model_validator
from pydantic_core import core_schema

from lakehouse.declaration import Declaration, known_word
from lakehouse.errors import LakehouseError, nearest
from lakehouse.settings import PROJECT
from scoring.hooks import HookRefused, Hooks
from scoring.scorer import ResponseFormat
from scoring.tasks import TASKS, Classes, Task
from training.evaluation.metrics import METRICS, metrics_of
from training.evaluation.threshold import ThresholdRule
from training.models import FAMILIES, SEARCHED
from training.use_case.forecast import ForecastColumns, unreadable
from training.use_case.limits import drop_without_effect, limits_without_effect
from training.use_case.monitoring import MonitoringPlan
from training.use_case.narrowing import Range
from training.use_case.promotion import PromotionCriteria
from training.use_case.search import SearchPlan
from training.use_case.serving import ServingPlan
from training.use_case.split import SplitPlan
from training.use_case.yaml_file import AmbiguousYaml, read_yaml

FOLDER = PROJECT / "training" / "use_cases"


class UseCaseRefused(LakehouseError):
    """The use-case file is missing or invalid."""

    @classmethod
    def unknown(cls, name: str, known: list[str], folder: Path) -> Self:
        return cls(f"there is no use case '{name}'. {nearest(name, known)}", hint=f"Use cases are files in {folder}.")

    @classmethod
    def invalid(cls, path: Path, problems: list[str]) -> Self:
        return cls(f"{path.name} is not a valid use case:\n  " + "\n  ".join(problems), hint=f"Correct {path}.")

    @classmethod
    def options(cls, problems: list[str]) -> Self:
        return cls("invalid options:\n  " + "\n  ".join(problems), hint="python -m training.run --help")


class LabelTable(Declaration):
    """The spine: entity (one column or several), timestamp and label.

    Attributes:
        table: label table, such as `gold.term_deposit_labels`.
        entity: key columns of a row; a feature table is joined by them.
        timestamp: column with the time from which the features must be known.
        column: column with the label.
        classes: every possible label of a `multiclass` task.
    """

    table: str
    entity: str | tuple[str, ...] = Field(min_length=1)
    timestamp: str
    column: str
    classes: Classes = ()

    @field_validator("classes", mode="before")
    @classmethod
    def _classes_are_texts_or_integers(cls, classes: Any) -> Any:
        kinds = {type(label) for label in classes} if isinstance(classes, list | tuple) else set()
        if kinds - {int, str}:
            raise ValueError("a class is a text or an integer: put texts such as 'true', 'null' and '1.10' in quotes")
        if len(kinds) > 1:
            raise ValueError(
                "classes are all texts or all integers: put each of them in quotes, as in the label column"
            )
        return classes

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the entity."""
        return (self.entity,) if isinstance(self.entity, str) else self.entity


class LookupDeclaration(Declaration):
    """A feature table to join, without the features in `exclude`.

    A spine row without a match is refused, or left out and counted.

    Attributes:
        table: feature table, such as `gold.client_features`.
        exclude: features that the model does not get.
        lookback_days: greatest age of a feature row, in days; older rows are no match.
        missing: `refuse` ends the training if a spine row has no match; `leave_out` drops such rows and counts them.
    """

    table: str
    exclude: tuple[str, ...] = ()
    lookback_days: int | None = Field(default=None, ge=1)
    missing: Literal["refuse", "leave_out"] = "refuse"


# A use case names its task; everything else calls the object.
_TASK_SCHEMA = core_schema.no_info_after_validator_function(
    TASKS.__getitem__,
    core_schema.literal_schema([*TASKS]),
    serialization=core_schema.to_string_ser_schema(when_used="always"),
)
DeclaredTask = Annotated[Task, GetPydanticSchema(lambda _source, _handler: _TASK_SCHEMA)]


class UseCase(Declaration):
    """One use case, as declared in its file.

    Attributes:
        name: name of the use case, and of its file.
        task: kind of the prediction.
        labels: the spine: entity, timestamp and label.
        features: feature tables to join, as of the time of each label.
        forecast: features of a task `forecast` that describe a row's series.
        split: holdout and folds.
        search: families, metric and limits of the search.
        promotion: criteria of the gate.
        serving: endpoint, response, threshold and calibration.
        monitoring: comparison of live traffic with the version.
        golden_request: an example request, which every version must reproduce.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    task: DeclaredTask
    labels: LabelTable
    features: tuple[LookupDeclaration, ...] = Field(min_length=1)
    forecast: ForecastColumns | None = None
    split: SplitPlan = SplitPlan()
    search: SearchPlan
    promotion: PromotionCriteria
    serving: ServingPlan
    monitoring: MonitoringPlan = MonitoringPlan()
    golden_request: dict[str, Any]

    @model_validator(mode="after")
    def _tables_differ(self) -> Self:
        tables = [lookup.table for lookup in self.features]
        if len(set(tables)) < len(tables):
            raise ValueError(f"features name a table twice: {tables}")
        return self

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        classes = self.labels.classes
        if self.task.declares_classes and not classes:
            raise ValueError(f"labels.classes must list every label of a {self.task} task")
        if classes and not self.task.declares_classes:
            raise ValueError(f"labels.classes must be absent: a {self.task} task declares no classes")
        if len(set(classes)) < len(classes) or len(classes) in {1, 2}:
            raise ValueError(
                f"labels.classes must list at least 3 labels, each once: {classes}; for two labels use task: binary"
            )
        for metric in (self.search.metric, self.promotion.metric):
            known_word(f"metric of {self.task}", metric, metrics_of(self.task))
        able = [name for name in SEARCHED if self.task in FAMILIES[name].tasks]
        for family in self.search.families:
            known_word(f"family for {self.task}", family, able)
        for field in self.serving.fields or ():
            known_word(f"field of a {self.task} response", field, list(self.task.fields))
        if idle := next(limits_without_effect(self.promotion), ""):
            raise ValueError(f"promotion.{idle}")
        if unfit := self.promotion.guards.inapplicable_limit(self.task):
            raise ValueError(f"promotion.guards: {unfit} cannot be measured for a {self.task} task")
        tuned = isinstance(self.serving.threshold, ThresholdRule)
        if not self.task.has_threshold and (tuned or self.serving.calibration != "none"):
            raise ValueError(f"a tuned threshold and calibration need binary labels, but the task is {self.task}")
        if tuned and METRICS[self.search.metric].decides:
            raise ValueError(
                f"search.metric {self.search.metric} compares decisions, but the threshold is tuned after the "
                "search: use average_precision, roc_auc or log_loss, or set the threshold to a number"
            )
        return self

    @model_validator(mode="after")
    def _split_fits(self) -> Self:
        if self.split.kind.needs_classes and not self.task.predicts_classes:
            raise ValueError(
                f"split by {self.split.by} draws folds by class, and a {self.task} has none: use by: group"
            )
        if self.split.column == self.labels.column:
            raise ValueError(f"split.column and labels.column are both {self.split.column}: use a column of folds")
        if self.search.stacks and self.split.in_time:
            raise ValueError(
                f"search.stacks learn from predictions of every training row, and with split by {self.split.by} no "
                "fold predicts the first rows: remove `stacks`"
            )
        return self

    @model_validator(mode="after")
    def _forecast_fits_the_task(self) -> Self:
        if self.task.declares_forecast and self.forecast is None:
            raise ValueError("forecast must name the features level, scale, season and step of a forecast task")
        if self.forecast is not None and not self.task.declares_forecast:
            raise ValueError(f"forecast must be absent: it is for a forecast task, and this one is {self.task}")
        if self.forecast is not None and (problem := unreadable(self.forecast, self.search.families)):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _monitoring_finds_a_loss(self) -> Self:
        if idle := drop_without_effect(self.monitoring.max_drop, self.promotion.metric):
            raise ValueError(f"monitoring.{idle}")
        labels = self.monitoring.labels
        if labels is not None and labels.is_named_by_key and not self.task.declares_forecast:
            raise ValueError(
                "monitoring.labels need request_id, or entity and timestamp, to find the request of a label. "
                "Only the key of a forecast, which has its time, names one label"
            )
        return self

    @model_validator(mode="after")
    def _hooks_fit(self) -> Self:
        try:
            self.hooks()
        except HookRefused as err:
            raise ValueError(err.failed) from err
        return self

    @property
    def classes(self) -> Classes:
        """Every label in the order of the model's columns; empty for numbers."""
        return self.task.classes(self.labels.classes)

    @property
    def response_format(self) -> ResponseFormat:
        """The response format before the hook and before the threshold is tuned."""
        fields = self.serving.fields or self.task.fields[: self.task.default_fields]
        return ResponseFormat(fields, self.serving.untuned_threshold, self.task, self.classes)

    def hooks(self) -> Hooks:
        """The hooks of the use case, run once on the golden request.

        Raises:
            HookRefused: a hook is unusable. Loading a use case has checked its hooks.
        """
        serving = self.serving
        return Hooks.find(
            serving.preprocess, serving.postprocess, self.golden_request, self.response_format.samples()
        )


def load(name: str, folder: Path = FOLDER) -> UseCase:
    """Read one use case.

    Raises:
        UseCaseRefused: the file is missing or not YAML, or has an unknown key or an invalid value.
    """
    path = folder / f"{name}.yml"
    known = sorted(file.stem for file in folder.glob("*.yml"))
    if name not in known:
        raise UseCaseRefused.unknown(name, known, folder)
    try:
        use_case = UseCase.model_validate(read_yaml(path.read_text(encoding="utf-8")))
    except AmbiguousYaml as err:
        raise UseCaseRefused.invalid(path, err.problems) from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise UseCaseRefused.invalid(path, [f"not YAML: {err}"]) from err
    except ValidationError as err:
        raise UseCaseRefused.invalid(path, [_problem(error) for error in err.errors()]) from err
    if use_case.name != name:
        raise UseCaseRefused.invalid(path, [f"name is '{use_case.name}', but the file is named '{name}'"])
    return use_case


def with_search(use_case: UseCase, changes: Mapping[str, object]) -> UseCase:
    """The use case with changed settings of its search; ranges of families that it no longer names have no effect.

    Raises:
        UseCaseRefused: a setting is invalid.
    """
    declared = use_case.model_dump(exclude_unset=True)
    search = {**declared["search"], **changes}
    if "families" in changes and "space" not in changes:
        search["space"] = {name: each for name, each in search.get("space", {}).items() if name in search["families"]}
    try:
        return UseCase.model_validate({**declared, "search": search})
    except ValidationError as err:
        raise UseCaseRefused.options([_problem(error, "the use case") for error in err.errors()]) from err


def load_all(folder: Path = FOLDER) -> list[UseCase]:
    """Every use case, ordered by name.

    Raises:
        UseCaseRefused: one of them is invalid.
    """
    return [load(file.stem, folder) for file in sorted(folder.glob("*.yml"))]


def _problem(error: Any, root: str = "the file") -> str:
    path = ".".join(str(part) for part in error["loc"] if part not in TAGS) or root
    if error["type"] == "extra_forbidden":
        return f"{path}: no such key. {nearest(str(error['loc'][-1]), _sibling_keys(error['loc']))}"
    message = f"{path}: {error['msg'].removeprefix('Value error, ')}"
    # For a missing key, or keys that contradict each other, the input is the mapping around them.
    return message if isinstance(error["input"], Mapping) else f"{message} (got {error['input']!r})"


TAGS = ("number", "rule")  # pydantic's names for the alternatives of a value, in the path of an error
TAGGED: Mapping[int | str, Any] = {Range.__name__: Range, "rule": ThresholdRule}


def _sibling_keys(location: tuple[int | str, ...]) -> list[str]:
    declaration: Any = UseCase
    for step in location[:-1]:
        if step in TAGGED:
            declaration = TAGGED[step]
        elif isinstance(step, str) and hasattr(declaration, "model_fields"):
            annotation = declaration.model_fields[step].annotation
            declaration = annotation if hasattr(annotation, "model_fields") else annotation.__args__[0]
    return list(declaration.model_fields)
