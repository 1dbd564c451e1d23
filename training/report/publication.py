"""The page of a run: made, written, and logged to MLflow beside the model."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException
from sklearn.pipeline import Pipeline

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from scoring.scorer import Scorer
from training.frame.provenance import Provenance
from training.frame.splits import Split
from training.report import champion_outcomes, environment
from training.report.evidence import Evidence
from training.report.page import Block, Folded, Section, WarningText, Words, render
from training.report.sections import (
    binary,
    champion,
    data,
    explanation,
    head,
    multiclass,
    quality,
    regression,
    search,
    slices,
)
from training.search.trial import Trial, best
from training.use_case.use_case import UseCase

ARTIFACTS = "report"


class ReportFailed(LakehouseError):
    """The version is registered, and its report could not be written."""

    @classmethod
    def of(cls, version: ModelVersion, reason: Exception) -> "ReportFailed":
        return cls(
            f"{version.name} version {version.version} is registered, but its report could not be written: {reason}",
            hint=f"The version does not need it: python -m deployment.run promote --use-case {version.name}",
        )


@dataclass(frozen=True)
class TrainedRun:
    """What a training run came to: every trial, the refitted winner, its data, and the version it became.

    Attributes:
        apart: the winner fitted on each fold's rows alone; empty where it was not.
    """

    use_case: UseCase
    trials: Sequence[Trial]
    scorer: Scorer
    data: Split
    version: ModelVersion
    apart: Sequence[Pipeline] = ()


@dataclass(frozen=True)
class ReportPart:
    """A section of the page."""

    anchor: str
    title: str
    blocks: Callable[[Evidence], Sequence[Block]]


@dataclass(frozen=True)
class Report:
    """The page, and which parts of it could not be made, with the reason."""

    page: str
    failures: Mapping[str, str]


OUTCOMES = {
    "binary": ReportPart("curves", "Curves and decisions", binary.blocks),
    "multiclass": ReportPart("classes", "Classes", multiclass.blocks),
    "regression": ReportPart("errors", "Errors", regression.blocks),
}
BEFORE = (ReportPart("quality", "How good it is", quality.blocks),)
AFTER = (
    ReportPart("champion", "Against the champion", champion.blocks),
    ReportPart("slices", "Slices", slices.blocks),
    ReportPart("inputs", "What it goes by", explanation.blocks),
    ReportPart("search", "The search", search.blocks),
    ReportPart("data", "Data and lineage", data.blocks),
)


@dataclass(frozen=True)
class PublishedReport:
    """Where the page lies, here and in MLflow, and what of it could not be made."""

    path: Path
    uri: str
    failures: Mapping[str, str]


def write(run: TrainedRun, client: MlflowClient, settings: Settings) -> PublishedReport:
    """Make the page of a registered version, write it below `reports/` and log it to the version's run.

    Raises:
        ReportFailed: the page could not be written or logged. The version is not touched.
    """
    version = run.version
    try:
        report = make(gather(run, client))
        path = settings.reports / str(version.name) / f"version-{version.version}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(report.page, encoding="utf-8")
        client.log_artifact(str(version.run_id), str(path), ARTIFACTS)
    except (OSError, LakehouseError, MlflowException, RequestException) as err:
        raise ReportFailed.of(version, err) from err
    return PublishedReport(path, f"runs:/{version.run_id}/{ARTIFACTS}/{path.name}", report.failures)


def gather(run: TrainedRun, client: MlflowClient) -> Evidence:
    """What the page is made from: the run, the champion, and what runs here."""
    use_case, version = run.use_case, run.version
    provenance = Provenance.of_tags(version.tags)
    return Evidence(
        use_case=use_case,
        trials=run.trials,
        winner=best(run.trials, use_case.search.metric),
        scorer=run.scorer,
        data=run.data,
        version=str(version.version),
        description=str(version.description),
        provenance=provenance,
        environment=environment.current(client.get_run(str(version.run_id)), run.scorer),
        rival=champion_outcomes.find(client, use_case.name, run.data.holdout, provenance),
        apart=run.apart,
    )


def make(evidence: Evidence) -> Report:
    """The page as HTML. A part that fails says so in its place and leaves the others."""
    failures: dict[str, str] = {}

    def of(part: ReportPart) -> Section:
        try:
            return Section(part.anchor, part.title, part.blocks(evidence))
        except Exception as err:  # noqa: BLE001  (the version is registered: what is left of its report is of use)
            failures[part.title] = f"{type(err).__name__}: {err}"
            told = Folded("Where", (Words("".join(traceback.format_exception(err)[-3:])),))
            return Section(part.anchor, part.title, (WarningText(f"This part failed. {failures[part.title]}"), told))

    parts = (*BEFORE, OUTCOMES[evidence.use_case.task], *AFTER)
    overview = of(ReportPart("overview", "Overview", lambda evidence: [head.tiles(evidence)]))
    title = f"{evidence.use_case.name}, version {evidence.version}"
    page = render(title, evidence.description, overview.blocks, [of(part) for part in parts])
    return Report(page, failures)
