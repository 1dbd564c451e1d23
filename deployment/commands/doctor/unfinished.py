"""Work that was interrupted: changes of champions, training runs and their journals."""

from collections.abc import Iterable
from pathlib import Path

from mlflow.tracking import MlflowClient

from deployment.commands.doctor.finding import Finding, FindingArea
from deployment.ledger.champion_change import PENDING
from training.registry.versions import model_of
from training.tracking.run_marks import SUFFIX
from training.tracking.unlogged_trials import lock

_AREA = FindingArea("unfinished")


def check_champion_changes(client: MlflowClient, use_cases: Iterable[str]) -> list[Finding]:
    """Changes of a champion that were interrupted before they were recorded."""
    names = [name for name in use_cases if (model := model_of(client, name)) is not None and PENDING in model.tags]
    return [
        _AREA.warning(
            f"A command was interrupted before it recorded its change of the champion of {name}.",
            f"python -m deployment.run verify --use-case {name} --repair",
        )
        for name in names
    ] or [_AREA.ok("No change of a champion is pending.")]


def check_runs(journals: Path) -> list[Finding]:
    """Runs whose process ended, and trials that MLflow does not have yet."""
    left = [file for file in sorted(journals.glob(f"*{SUFFIX}")) if _is_left(file)]
    trials = [file for file in sorted(journals.glob("*.jsonl")) if _is_left(file)]
    findings = []
    if left:
        runs = ", ".join(file.name.removesuffix(SUFFIX) for file in left)
        message = f"Training was interrupted in the runs {runs}; the next training ends them."
        findings.append(_AREA.warning(message, "python -m training.run --use-case NAME"))
    if trials:
        message = f"{len(trials)} journals in {journals} hold trials that MLflow lacks; the next training logs them."
        findings.append(_AREA.warning(message, "python -m training.run --use-case NAME --resume latest"))
    return findings or [_AREA.ok("No training run was interrupted.")]


def _is_left(file: Path) -> bool:
    """True if no process holds the lock of the file."""
    with file.open(encoding="utf-8") as opened:
        return lock(opened)
