"""A verdict as it is kept with the version: JSON for programs, a page for people, tags for a glance."""

from pathlib import Path
from tempfile import TemporaryDirectory

import jinja2
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from deployment.gate.decision import Decision, Reason
from lakehouse.errors import LakehouseError

FOLDER = "promotion"  # among the artifacts of the run that trained the version
VERDICT, DIGEST = "verdict", "verdict_sha256"  # tags of the version


class VerdictUnwritten(LakehouseError):
    """What was decided cannot be kept, so nothing is done about it."""

    @classmethod
    def of(cls, version: str, reason: object) -> "VerdictUnwritten":
        return cls(
            f"the verdict on version {version} could not be written to its run: {reason}",
            hint="Nothing was promoted. Look at the space and permissions of MLflow's artifacts, then run it again.",
        )


class VerdictLost(LakehouseError):
    """A past verdict is not there, or is not the one that the ledger knows."""

    @classmethod
    def of(cls, name: str, version: int, problem: object) -> "VerdictLost":
        return cls(
            f"the verdict on version {version} of {name} cannot be shown: {problem}",
            hint=f"What the ledger says of it: python -m deployment.run history --use-case {name}",
        )


def keep(client: MlflowClient, version: ModelVersion, use_case: str, decision: Decision) -> None:
    """Write both files to the version's run, read the JSON back, and tag the version.

    Raises:
        VerdictUnwritten: the files are not there as they were written.
    """
    if not version.run_id:
        raise VerdictUnwritten.of(str(version.version), "it was registered without one")
    digest, said = decision.digest(), decision.to_json()
    try:
        client.log_text(version.run_id, said, file_of(digest, "json"))
        client.log_text(version.run_id, page(use_case, decision), file_of(digest, "html"))
        found = _read(client, version.run_id, digest)
    except OSError as err:
        raise VerdictUnwritten.of(str(version.version), err) from err
    if found != said:
        raise VerdictUnwritten.of(str(version.version), "what was read back is not what was written")
    name, number = version.name, str(version.version)
    client.set_model_version_tag(name, number, DIGEST, digest)
    client.set_model_version_tag(name, number, VERDICT, "promoted" if decision.promote else "refused")


def find(client: MlflowClient, name: str, version: int, digest: str) -> Decision:
    """A past verdict on a version, as it was written.

    Raises:
        VerdictLost: it is gone, or it was changed.
    """
    try:
        run = client.get_model_version(name, str(version)).run_id
        decision = Decision.from_json(_read(client, str(run), digest))
    except (MlflowException, OSError, ValueError, TypeError, KeyError) as err:
        raise VerdictLost.of(name, version, err) from err
    if decision.digest() != digest:
        raise VerdictLost.of(
            name, version, f"it hashes to {decision.digest()[:12]}, and the ledger knows {digest[:12]}"
        )
    return decision


def file_of(digest: str, ending: str) -> str:
    """Where a verdict is among the run's artifacts; each has files of its own."""
    return f"{FOLDER}/verdict-{digest[:12]}.{ending}"


def table(decision: Decision) -> list[list[str]]:
    """A line for each criterion, as it is printed."""
    return [[r.criterion, r.required, r.found, interval(r), "yes" if r.passed else "no"] for r in decision.reasons]


def interval(reason: Reason) -> str:
    """The interval of a reason, where it has one."""
    found = reason.interval
    return f"{found.low:+.4f} to {found.high:+.4f}" if found else ""


def page(use_case: str, decision: Decision) -> str:
    """The verdict as one page without any address outside of itself."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(Path(__file__).with_suffix(".html.j2").read_text(encoding="utf-8"))
    return template.render(use_case=use_case, decision=decision, digest=decision.digest(), interval=interval)


def _read(client: MlflowClient, run_id: str, digest: str) -> str:
    with TemporaryDirectory() as folder:  # unsaid, MLflow downloads to one that nobody deletes
        return Path(client.download_artifacts(run_id, file_of(digest, "json"), folder)).read_text(encoding="utf-8")
