"""Errors of landing files: the file, the place in it, and the correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lakehouse.errors import LakehouseError
from lakehouse.wording import number_of

IN_THE_YML = "`landing_file` in the model's .yml"


@dataclass(frozen=True)
class Correction:
    """Option of `landing_file` with which the file can be read; a command with options of its own names its own.

    Attributes:
        option: name of the option.
        value: its value in YAML; empty if only the person knows it.
        example: likely values, where only the person knows it.
        condition: when the option is right; empty if it always is.
    """

    option: str
    value: str = ""
    example: str = ""
    condition: str = ""

    @property
    def in_the_yml(self) -> str:
        """The correction as a sentence about the model's declaration."""
        what = f"`{self.option}: {self.value}`" if self.value else f"the {self.option} of the file, {self.example},"
        place = IN_THE_YML if self.value else f"`{self.option}` of {IN_THE_YML}"
        return f"Write {what} into {place}{f' if {self.condition}' if self.condition else ''}."


class LandingFileMissing(LakehouseError):
    """There is no file at the landing path."""

    @classmethod
    def at(cls, path: Path) -> "LandingFileMissing":
        return cls(
            f"the landing file {path} does not exist",
            hint="Put it there, or set LAKEHOUSE_LANDING to its folder.",
        )


class LandingFileRefused(LakehouseError):
    """The landing file differs from its declaration.

    Attributes:
        advice: how to correct the file itself; empty if only an option helps.
        correction: option with which the file can be read; None if the file must be corrected.
    """

    def __init__(self, failed: str, *, hint: str = "", correction: Correction | None = None) -> None:
        self.advice, self.correction = hint, correction
        super().__init__(failed, hint=" ".join(filter(None, [hint, correction.in_the_yml if correction else ""])))

    @classmethod
    def unreadable(cls, path: Path, reason: Exception) -> "LandingFileRefused":
        return cls(f"the landing file {path} cannot be read: {reason}", hint="Deliver the file again.")

    @classmethod
    def line(
        cls, path: Path, line: int, problem: str, hint: str, correction: Correction | None = None
    ) -> "LandingFileRefused":
        return cls(f"line {line} of the landing file {path} {problem}", hint=hint, correction=correction)

    @classmethod
    def value(cls, path: Path, line: int, column: str, problem: str, hint: str) -> "LandingFileRefused":
        return cls.line(path, line, f"has {problem} in the column {column}", hint)

    @classmethod
    def encoding(
        cls, path: Path, encoding: str, place: tuple[int, int], problem: str, correction: Correction
    ) -> "LandingFileRefused":
        where = f"byte {place[0]} (line {place[1]}) {problem}"
        return cls(f"the landing file {path} cannot be read as {encoding}: {where}", correction=correction)

    @classmethod
    def header(
        cls, path: Path, found: Sequence[str], declared: Sequence[str], delimiter: str
    ) -> "LandingFileRefused":
        failed = f"the header of the landing file {path}"
        if len(found) == 1 and len(declared) > 1:
            return cls(
                f"{failed} does not split at '{delimiter}': {found[0][:80]!r}",
                hint="Deliver the file with that delimiter, or correct `landing_file.delimiter` in the model's .yml.",
            )
        missing, extra = [c for c in declared if c not in found], [c for c in found if c not in declared]
        return cls(
            f"{failed} differs from the declared one: missing {missing or 'none'}, not declared {extra or 'none'}, "
            f"found {list(found)}",
            hint="Correct the file, or `landing_file.columns` in the model's .yml. For columns with other names than "
            "in the file, write its header into `landing_file.header`.",
        )

    @classmethod
    def rows(cls, path: Path, bad: int, first: Sequence[tuple[int, int, str]], declared: int) -> "LandingFileRefused":
        lines = "; ".join(f"line {line} has {fields} of {declared} fields: {text!r}" for line, fields, text in first)
        return cls(
            f"the landing file {path} has {number_of('row', bad)} with the wrong number of fields: {lines}",
            hint=f"Correct {'it' if bad == 1 else 'them'}. Nothing is loaded until the entire file can be read.",
        )

    @classmethod
    def columns(cls, path: Path, found: Mapping[str, str], declared: Mapping[str, str]) -> "LandingFileRefused":
        problems = [f"{name} is missing" for name in declared if name not in found]
        problems += [f"{name} is not declared" for name in found if name not in declared]
        problems += [
            f"{name} is {found[name]} instead of {declared[name]}"
            for name in declared
            if found.get(name, declared[name]) != declared[name]
        ]
        return cls(
            f"the columns of the landing file {path} differ from the declared ones: {'; '.join(problems)}",
            hint="Deliver it again, or correct `landing_files.columns` in the model's .yml.",
        )

    @classmethod
    def out_of_order(cls, path: Path, first: datetime, table: str, until: datetime) -> "LandingFileRefused":
        return cls(
            f"the landing file {path} has rows known at {first:%Y-%m-%d %H:%M:%S}, but all rows of {table} known "
            f"until {until:%Y-%m-%d %H:%M:%S} are already loaded",
            hint="Deliver them with a later `known_at`, or load everything again: dbt build --full-refresh",
        )

    @classmethod
    def changed(cls, path: Path, delivery: str, rows: int, loaded: int) -> "LandingFileRefused":
        return cls(
            f"the delivery {delivery} (file {path}) has {number_of('row', rows)}, but had {loaded:,} when it was "
            "loaded",
            hint="Deliver new rows under a new name, or load everything again: dbt build --full-refresh",
        )

    @classmethod
    def alone(cls, path: Path, delivery: str, folder: Path) -> "LandingFileRefused":
        return cls(
            f"the landing file {path} arrived without its counterpart: {folder} has no delivery {delivery}",
            hint="Deliver both under one name, one of them empty if it has no rows, and build again.",
        )

    @classmethod
    def without_a_time(cls, path: Path, rows: int) -> "LandingFileRefused":
        return cls(
            f"the landing file {path} has {number_of('row', rows)} without `known_at`, which orders the deliveries",
            hint="Set the time at which each row became known, and deliver the file again.",
        )

    @classmethod
    def from_the_future(cls, path: Path, last: datetime, now: datetime) -> "LandingFileRefused":
        return cls(
            f"the landing file {path} has rows known at {last:%Y-%m-%d %H:%M:%S} UTC, "
            f"which is after now ({now:%Y-%m-%d %H:%M:%S})",
            hint="Correct the clock or time zone of its source, and deliver the file again.",
        )


class LandingOptionsRefused(LakehouseError):
    """The `landing_file` of a model is invalid."""

    @classmethod
    def invalid(cls, model: str, problems: Sequence[str]) -> "LandingOptionsRefused":
        failed = f"the `landing_file` of the model {model} is invalid:\n  " + "\n  ".join(problems)
        return cls(failed, hint=f"Correct {IN_THE_YML}.")
