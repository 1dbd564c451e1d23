"""Differences between the ledger and the registry."""

from mlflow.tracking import MlflowClient

from deployment.gate import verdict
from deployment.ledger import aliases
from deployment.ledger.champion_change import HEAD, PENDING
from deployment.ledger.history import History
from lakehouse.errors import LakehouseError
from lakehouse.wording import format_version
from training.registry.versions import CHAMPION, version_of, versions_of


def audit(client: MlflowClient, name: str, history: History) -> list[str]:
    """Describe each difference between registry and ledger in one line; an empty list without differences."""
    aliases.require_model(client, name)
    tags = client.get_registered_model(name).tags
    problems = []
    if (recorded := tags.get(HEAD, "")) != history.head:
        problems.append(
            f"the ledger ends with {history.head[:12] or 'no entry'},"
            f" the registry records {recorded[:12] or 'no entry'}"
        )
    if PENDING in tags:
        problems.append("a command was interrupted before it recorded its change")
    problems += _aliases(client, name, history)
    problems += _stages(client, name, history)
    return problems + _verdicts(client, name, history)


def _aliases(client: MlflowClient, name: str, history: History) -> list[str]:
    earlier = [version for version in history.rollback_stack[:-1] if aliases.exists(client, name, version)]
    expected = {CHAMPION: history.champion, aliases.PREVIOUS: earlier[-1] if earlier else None}
    problems = []
    for alias, version in expected.items():
        registered = version_of(client, name, alias)
        current = None if registered is None else int(registered.version)
        if current != version:
            problems.append(
                f"the alias {alias} points to {format_version(current)}, in the ledger to {format_version(version)}"
            )
    return problems


def _stages(client: MlflowClient, name: str, history: History) -> list[str]:
    stage_of = {int(version.version): version.tags.get("stage") for version in versions_of(client, name)}
    production = sorted(number for number, stage in stage_of.items() if stage == "Production")
    expected = [] if history.champion is None else [history.champion]
    problems = [] if production == expected else [f"versions {production} have stage Production, expected {expected}"]
    return problems + [
        f"version {number} has stage {stage}, expected Archived (a former champion)"
        for number, stage in stage_of.items()
        if number in history.all_champions and number != history.champion and stage not in {"Archived", "Production"}
    ]


def _verdicts(client: MlflowClient, name: str, history: History) -> list[str]:
    """Verdicts of existing versions that are missing or were changed."""
    problems = []
    for entry in history.since_reset:
        if entry.verdict and entry.version is not None and aliases.exists(client, name, entry.version):
            try:
                verdict.load(client, name, entry.version, entry.verdict)
            except LakehouseError as err:
                problems.append(f"entry {entry.number}: {err.failed}")
    return problems
