"""The task and the labels that a target column stands for."""

from dataclasses import dataclass, replace
from typing import Any

from lakehouse.wording import number_of
from scoring.tasks import BINARY, MULTICLASS, REGRESSION, TASKS, Task
from training.init.errors import InitRefused
from training.init.proposing.profile import ColumnProfile

_MOST_CLASSES = 50
_LEAST_ROWS = 5  # of a class: the holdout and each of three folds need one
_FEW = 20  # whole numbers up to this many different ones may be classes
_POSITIVE = ("yes", "ja", "true", "y", "j", "t", "1", "wahr", "positive", "positiv")


@dataclass(frozen=True)
class Target:
    """Label of a row, and the task that predicts it.

    Attributes:
        profile: profile of the target column.
        task: kind of the prediction.
        positive: value that is label 1 of a binary task.
        classes: labels of a multiclass task.
        why: how the task follows from the values.
        change: how to choose another task.
    """

    profile: ColumnProfile
    task: Task
    why: str
    positive: Any = None
    classes: tuple[int | str, ...] = ()
    change: str = ""

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.profile.name

    @property
    def positive_word(self) -> str:
        """Label 1 of a binary task, as the file has it."""
        truth = self.profile.column.truth
        return truth[0] if truth else as_text(self.positive)


def as_text(value: Any) -> str:
    """A value as a cast to text has it.

    >>> as_text(True), as_text("Ja"), as_text(1)
    ('true', 'Ja', '1')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def target_of(profile: ColumnProfile, chosen: str | None) -> Target:
    """Take the task from the values of the target.

    Args:
        profile: profile of the target column.
        chosen: name of the task, where the person has chosen it.

    Raises:
        InitRefused: the values cannot be a label, or do not fit the chosen task.
    """
    task, why, change = _task(profile, chosen)
    if task.predicts_classes:
        _require_rows(profile)
    if task.declares_classes:
        labels = tuple(value if isinstance(value, int) else str(value) for value, _ in profile.values)
        if len(labels) < 3 or profile.column.kind == "double":
            raise InitRefused.target(
                profile.name, f"has {profile.distinct} values, not classes", "Choose another --task."
            )
        return Target(profile, task, why, classes=tuple(sorted(labels)), change=change)
    if not task.predicts_classes:
        if not profile.is_number:
            raise InitRefused.target(profile.name, "is not a number", "Choose --task binary or --task multiclass.")
        return Target(profile, task, why, change=change)
    if profile.distinct != 2:
        raise InitRefused.target(profile.name, f"has {profile.distinct} values, not two", "Choose another --task.")
    positive = _positive(profile)
    binary = Target(profile, task, why, positive=positive, change=change)
    return replace(binary, why=f"{why}; {binary.positive_word} is label 1")


def _require_rows(profile: ColumnProfile) -> None:
    """Check that each class has rows enough.

    Raises:
        InitRefused: one has not.
    """
    if few := {value: count for value, count in profile.values if count < _LEAST_ROWS}:
        counts = ", ".join(f"{as_text(value)} in {number_of('row', count)}" for value, count in few.items())
        raise InitRefused.target(
            profile.name,
            f"has too few rows of a class: {counts}",
            f"A holdout and three folds need at least {_LEAST_ROWS}. Leave these rows out of the file, or give them "
            "another class.",
        )


def _task(profile: ColumnProfile, chosen: str | None) -> tuple[Task, str, str]:
    column, distinct = profile.name, profile.distinct
    if profile.filled == 0:
        raise InitRefused.target(column, "has no value", "Choose another target.")
    if distinct == 1:
        only = profile.values[0][0] if profile.values else ""
        raise InitRefused.target(column, f"has one value in every row: {only}", "There is nothing to learn from it.")
    if profile.is_time:
        raise InitRefused.target(
            column, "is a date", "Predict a number, such as days until then, or whether it comes."
        )
    if chosen is not None:
        return TASKS[chosen], f"--task {chosen}", ""
    if distinct == 2:
        return BINARY, "two values", ""
    if profile.column.kind == "string":
        if distinct > min(_MOST_CLASSES, max(profile.filled // 2, 2)):
            raise InitRefused.target(
                column,
                f"is text with {distinct:,} different values in {profile.filled:,} rows",
                f"A class needs several rows, and there may be {_MOST_CLASSES} classes. Group them in the file.",
            )
        return MULTICLASS, f"{distinct} texts", ""
    if profile.counts_rows:
        raise InitRefused.target(
            column, "has a value of its own in every row, like an identifier", "Choose another target."
        )
    if profile.column.kind == "bigint" and distinct <= _FEW:
        both = f"{distinct} whole numbers, {profile.minimum} to {profile.maximum}"
        if distinct <= 4:
            return MULTICLASS, f"{both}, taken as classes", "as a number: --task regression"
        return REGRESSION, f"{both}, taken as a number", "as classes: --task multiclass"
    return REGRESSION, f"{distinct:,} different numbers", ""


def _positive(profile: ColumnProfile) -> Any:
    values = [value for value, _ in profile.values]
    for value in values:
        if str(value).lower() in _POSITIVE:
            return value
    return values[-1]  # the rarer one
