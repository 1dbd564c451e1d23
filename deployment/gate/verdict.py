"""Storage of a verdict with its version: a JSON file, an HTML page and tags."""

from pathlib import Path
from tempfile import TemporaryDirectory

import jinja2
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from deployment.gate.criteria.decision import CriterionResult, Decision
from lakehouse.errors import LakehouseError

FOLDER = "promotion"  # artifact folder in the run that trained the version
VERDICT, DIGEST = "verdict", "verdict_sha256"  # version tags


class VerdictNotWritten(LakehouseError):
    """The verdict could not be saved, so it is not applied."""

    @classmethod
    def of(cls, version: str, reason: object) -> "VerdictNotWritten":
        return cls(
            f"the verdict on version {version} could not be written to its run: {reason}",
            hint="Nothing was promoted. Check space and permissions of the MLflow artifacts, then run it again.",
        )


class VerdictUnavailable(LakehouseError):
    """A recorded verdict is missing or was changed."""

    @classmethod
    def of(cls, name: str, version: int, problem: object) -> "VerdictUnavailable":
        return cls(
            f"the verdict on version {version} of {name} cannot be shown: {problem}",
            hint=f"Show its ledger entry: python -m deployment.run history --use-case {name}",
        )


def save(client: MlflowClient, version: ModelVersion, use_case: str, decision: Decision) -> None:
    """Write both files to the version's run, read the JSON back, and tag the version.

    Raises:
        VerdictNotWritten: The files could not be written or read back unchanged.
    """
    if not version.run_id:
        raise VerdictNotWritten.of(str(version.version), "the version has no run")
    digest, text = decision.digest(), decision.to_json()
    try:
        client.log_text(version.run_id, text, artifact_path(digest, "json"))
        client.log_text(version.run_id, render_page(use_case, decision), artifact_path(digest, "html"))
        stored = _read(client, version.run_id, digest)
    except OSError as err:
        raise VerdictNotWritten.of(str(version.version), err) from err
    if stored != text:
        raise VerdictNotWritten.of(str(version.version), "the stored file differs from the written text")
    name, number = version.name, str(version.version)
    client.set_model_version_tag(name, number, DIGEST, digest)
    client.set_model_version_tag(name, number, VERDICT, "promoted" if decision.promote else "refused")


def load(client: MlflowClient, name: str, version: int, digest: str) -> Decision:
    """Load a recorded verdict on a version.

    Raises:
        VerdictUnavailable: The verdict is missing or was changed.
    """
    try:
        run = client.get_model_version(name, str(version)).run_id
        decision = Decision.from_json(_read(client, str(run), digest))
    except (MlflowException, OSError, ValueError, TypeError, KeyError) as err:
        raise VerdictUnavailable.of(name, version, err) from err
    if decision.digest() != digest:
        raise VerdictUnavailable.of(
            name, version, f"it hashes to {decision.digest()[:12]}, but the ledger records {digest[:12]}"
        )
    return decision


def artifact_path(digest: str, ending: str) -> str:
    """Artifact path of a verdict; each verdict has its own files."""
    return f"{FOLDER}/verdict-{digest[:12]}.{ending}"


def rows(decision: Decision) -> list[list[str]]:
    """Table rows for the console, one for each criterion."""
    return [
        [r.criterion, r.required, r.found, format_interval(r), "yes" if r.passed else "no"] for r in decision.reasons
    ]


def format_interval(reason: CriterionResult) -> str:
    """Format the interval of a criterion; empty without one."""
    interval = reason.interval
    return f"{interval.low:+.4f} to {interval.high:+.4f}" if interval else ""


def render_page(use_case: str, decision: Decision) -> str:
    """Render the verdict as a self-contained HTML page."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(Path(__file__).with_suffix(".html.j2").read_text(encoding="utf-8"))
    return template.render(
        use_case=use_case, decision=decision, digest=decision.digest(), format_interval=format_interval
    )


def _read(client: MlflowClient, run_id: str, digest: str) -> str:
    with TemporaryDirectory() as folder:  # MLflow's own temporary folder would not be deleted
        return Path(client.download_artifacts(run_id, artifact_path(digest, "json"), folder)).read_text(
            encoding="utf-8"
        )
