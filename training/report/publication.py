"""Publication of a report: renders the page, writes it and logs it to the run in MLflow."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException
from sklearn.pipeline import Pipeline

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.whole_files import replace_file
from scoring.scorer import Scorer
from training.budget import NO_LIMIT, Budget
from training.frame.provenance import Provenance
from training.frame.splits import Split
from training.report import champion_outcomes, environment
from training.report.evidence import Evidence
from training.report.page import Collapsed, Paragraph, Section, WarningNote, render
from training.report.sections import (
    champion,
    data,
    explanation,
    head,
    profile,
    quality,
    search,
    slices,
)
from training.report.tasks import TASK_SECTIONS, ReportSection
from training.search.trial import Trial, best
from training.use_case.use_case import UseCase

ARTIFACTS = "report"


class ReportFailed(LakehouseError):
    """The version is registered, but its report could not be written."""

    @classmethod
    def of(cls, version: ModelVersion, reason: Exception) -> "ReportFailed":
        return cls(
            f"{version.name} version {version.version} is registered, but its report could not be written: {reason}",
            hint=f"The version is complete. Next: python -m deployment.run promote --use-case {version.name}",
        )


@dataclass(frozen=True)
class TrainedRun:
    """A finished training run: all trials, the refitted winner, its data and the registered version.

    Attributes:
        fold_pipelines: the winner fitted on the training rows of each fold; may be empty.
        budget: the time of the training run.
    """

    use_case: UseCase
    trials: Sequence[Trial]
    scorer: Scorer
    data: Split
    version: ModelVersion
    fold_pipelines: Sequence[Pipeline] = ()
    budget: Budget = NO_LIMIT


@dataclass(frozen=True)
class Report:
    """The page as HTML; `failures` are the reasons of sections that could not be rendered, by title."""

    page: str
    failures: Mapping[str, str]


TOP = (
    ReportSection("headline", "Headline", lambda evidence: [head.headline(evidence)]),
    ReportSection("facts", "Facts", lambda evidence: [head.facts(evidence)]),
    ReportSection("overview", "Key numbers", lambda evidence: [head.tiles(evidence)]),
)
SECTIONS_BEFORE_TASK = (ReportSection("quality", "Performance", quality.blocks),)
SECTIONS_AFTER_TASK = (
    ReportSection("champion", "Comparison with the champion", champion.blocks),
    ReportSection("slices", "Slices", slices.blocks),
    ReportSection("inputs", "Feature importance", explanation.blocks),
    ReportSection("search", "Search", search.blocks),
    ReportSection("profile", "Inputs", profile.blocks),
    ReportSection("data", "Data and lineage", data.blocks),
)


@dataclass(frozen=True)
class PublishedReport:
    """Location of the page on disk and in MLflow; `failures` as in `Report`."""

    path: Path
    uri: str
    failures: Mapping[str, str]


def write(run: TrainedRun, client: MlflowClient, settings: Settings) -> PublishedReport:
    """Render the page of a registered version, write it below `reports/` and log it to the run of the version.

    Raises:
        ReportFailed: the page could not be written or logged. The version is unchanged.
    """
    version = run.version
    try:
        report = render_report(collect_evidence(run, client))
        path = settings.reports / str(version.name) / f"version-{version.version}.html"
        replace_file(path, report.page)
        client.log_artifact(str(version.run_id), str(path), ARTIFACTS)
    except (OSError, LakehouseError, MlflowException, RequestException) as err:
        raise ReportFailed.of(version, err) from err
    return PublishedReport(path, f"runs:/{version.run_id}/{ARTIFACTS}/{path.name}", report.failures)


def collect_evidence(run: TrainedRun, client: MlflowClient) -> Evidence:
    """Collect the inputs of the page: the run, the champion and the environment."""
    use_case, version = run.use_case, run.version
    provenance = Provenance.from_tags(version.tags)
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
        champion=champion_outcomes.score_champion(client, use_case.name, run.data.holdout, provenance),
        fold_pipelines=run.fold_pipelines,
        budget=run.budget,
    )


def render_report(evidence: Evidence) -> Report:
    """Render the page as HTML. A section that fails shows its error; the other sections are rendered."""
    failures: dict[str, str] = {}

    def rendered(section: ReportSection) -> Section:
        try:
            blocks = section.blocks(evidence)
        except Exception as err:  # noqa: BLE001  (the version is registered: the rest of its report is still useful)
            failures[section.title] = f"{type(err).__name__}: {err}"
            trace = Collapsed("Traceback", (Paragraph("".join(traceback.format_exception(err)[-3:])),))
            blocks = (WarningNote(f"This section failed. {failures[section.title]}"), trace)
        return Section(section.anchor, section.title, blocks)

    top = [block for section in TOP for block in rendered(section).blocks]
    sections = (*SECTIONS_BEFORE_TASK, TASK_SECTIONS[evidence.task.name], *SECTIONS_AFTER_TASK)
    title = f"{evidence.use_case.name}, version {evidence.version}"
    page = render(title, top, [rendered(section) for section in sections])
    return Report(page, failures)
