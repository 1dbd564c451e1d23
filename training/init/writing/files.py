"""Writes the files of a proposal, all or none, and never over an existing one."""

import difflib
import filecmp
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import LakehouseError
from training.init.proposing.proposal import Proposal
from training.init.writing import gold, labels, staging, unit_tests
from training.init.writing.names import LANDING, MODELS, USE_CASES, Names
from training.init.writing.use_case import use_case_yml

_DIFFERENCE = 12  # lines shown of a difference


class WritingRefused(LakehouseError):
    """Files cannot be written, or would replace others."""

    @classmethod
    def existing(cls, differing: Mapping[str, str], missing: list[str]) -> "WritingRefused":
        shown = "\n".join(f"  {path}\n{difference}" for path, difference in differing.items())
        new = f"\n  not there yet: {', '.join(missing)}" if missing else ""
        return cls(
            f"these files exist and differ from what init would write (- in the file, + from init); "
            f"nothing was changed:\n{shown}{new}",
            hint="Keep yours and go on with dbt build and training.run, delete them to have them written again, or "
            "choose another --name.",
        )

    @classmethod
    def taken(cls, model: str, place: str) -> "WritingRefused":
        return cls(
            f"the project has a model {model} already, in {place}; nothing was written", hint="Choose another --name."
        )

    @classmethod
    def unwritable(cls, folder: Path, reason: OSError) -> "WritingRefused":
        return cls(
            f"{folder} cannot be written to: {reason.strerror}; nothing was written",
            hint="Free space or correct its permissions, then run the command again.",
        )


@dataclass(frozen=True)
class PlannedFiles:
    """Files by their path below the project: texts, and copies of other files."""

    texts: Mapping[str, str]
    copies: Mapping[str, Path]


def planned_files(proposal: Proposal, around: Mapping[str, str]) -> PlannedFiles:
    """The files of a proposal, and those of a new project around it."""
    return PlannedFiles({**around, **dict(_texts(proposal))}, dict(_copies(proposal)))


def _texts(proposal: Proposal) -> Iterator[tuple[str, str]]:
    names = Names.of(proposal)
    stage, tables = MODELS / "staging" / names.name, MODELS / "gold" / names.name
    yield str(stage / f"{names.raw}.sql"), staging.raw_sql(proposal)
    yield str(stage / f"{names.raw}.yml"), staging.raw_yml(proposal)
    yield str(stage / f"{names.staging}.sql"), staging.staging_sql(proposal)
    yield str(stage / f"{names.staging}.yml"), staging.staging_yml(proposal) + unit_tests.staging_tests(proposal)
    for role in proposal.features:
        if role.role == "category_index":
            yield str(tables / f"{names.index(role.name)}.sql"), gold.index_sql(names, role.name)
            yield str(tables / f"{names.index(role.name)}.yml"), gold.index_yml(names, role)
    yield str(tables / f"{names.features}.sql"), gold.features_sql(proposal)
    yield str(tables / f"{names.features}.yml"), gold.features_yml(proposal) + unit_tests.features_tests(proposal)
    yield str(tables / f"{names.labels}.sql"), labels.labels_sql(proposal)
    yield str(tables / f"{names.labels}.yml"), labels.labels_yml(proposal) + unit_tests.labels_tests(proposal)
    yield str(USE_CASES / f"{names.name}.yml"), use_case_yml(proposal)


def _copies(proposal: Proposal) -> Iterator[tuple[str, Path]]:
    if proposal.table.copied is not None:
        yield str(LANDING / proposal.name / proposal.table.copied.name), proposal.table.copied


def write_files(planned: PlannedFiles, project: Path) -> list[str]:
    """Write the files that do not exist yet; return their paths.

    They are written into a folder of their own and moved from there, so that an error leaves nothing behind.

    Raises:
        WritingRefused: a file exists with another content, a name is taken, or the project cannot be written to.
    """
    missing = require_free(planned, project)
    try:  # also if no file is missing: the build writes to the project
        with tempfile.TemporaryDirectory(prefix=".init-", dir=project) as draft:
            _draft(planned, missing, Path(draft))
            _move(missing, Path(draft), project)
    except OSError as err:
        raise WritingRefused.unwritable(project, err) from err
    return missing


def require_free(planned: PlannedFiles, project: Path) -> list[str]:
    """Check that the files can be written; return the paths of those that do not exist yet.

    Raises:
        WritingRefused: a file exists with another content, or a name is taken.
    """
    paths = [*planned.copies, *planned.texts]
    _require_free_names(paths, project)
    missing = [path for path in paths if not (project / path).exists()]
    differing = {path: difference for path in paths if (difference := _difference(planned, path, project))}
    if differing:
        raise WritingRefused.existing(differing, missing)
    return missing


def require_free_name(name: str, project: Path) -> None:
    """Check the names that the models of a use case have, whatever its columns: before a large file is read.

    Raises:
        WritingRefused: a model of another folder has one of them.
    """
    names = Names(name, (), "")
    staging_models = [MODELS / "staging" / name / f"{model}.sql" for model in (names.raw, names.staging)]
    tables = [MODELS / "gold" / name / f"{model}.sql" for model in (names.features, names.labels)]
    _require_free_names([str(path) for path in (*staging_models, *tables)], project)


def _require_free_names(paths: list[str], project: Path) -> None:
    """Check that no model of another folder has the name of a planned one: dbt knows models by name alone.

    Raises:
        WritingRefused: a name is taken.
    """
    models = [path for path in paths if path.startswith(str(MODELS)) and path.endswith(".sql")]
    places = {Path(path).stem: path for path in models}
    for file in (project / MODELS).rglob("*.*"):
        place = file.relative_to(project).as_posix()
        if file.suffix in {".sql", ".py"} and file.stem in places and places[file.stem] != place:
            raise WritingRefused.taken(file.stem, place)


def _draft(planned: PlannedFiles, paths: list[str], folder: Path) -> None:
    for path in paths:
        draft = folder / path
        draft.parent.mkdir(parents=True, exist_ok=True)
        if path in planned.copies:
            shutil.copyfile(planned.copies[path], draft)
        else:
            draft.write_text(planned.texts[path], encoding="utf-8")


def _move(paths: list[str], draft: Path, project: Path) -> None:
    """Move the drafts to their places; after an error, those that were moved are removed again."""
    moved: list[Path] = []
    folders: list[Path] = []
    try:
        for path in paths:
            place = project / path
            for folder in reversed([each for each in place.parents if not each.exists()]):
                folder.mkdir()
                folders.append(folder)
            (draft / path).rename(place)
            moved.append(place)
    except (OSError, KeyboardInterrupt):
        for place in moved:
            place.unlink()
        for folder in reversed(folders):
            folder.rmdir()
        raise


def _difference(planned: PlannedFiles, path: str, project: Path) -> str:
    existing = project / path
    if not existing.exists():
        return ""
    if path in planned.copies:
        same = filecmp.cmp(existing, planned.copies[path], shallow=False)
        return "" if same else "    another file of that name"
    there = existing.read_text(encoding="utf-8").splitlines()
    changes = difflib.unified_diff(there, planned.texts[path].splitlines(), lineterm="", n=0)
    lines = [line for line in changes if not line.startswith(("---", "+++", "@@"))]
    more = f"\n    ... {len(lines) - _DIFFERENCE} more" if len(lines) > _DIFFERENCE else ""
    return "\n".join(f"    {line}" for line in lines[:_DIFFERENCE]) + more
