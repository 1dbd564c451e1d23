"""Whether the registry is as the ledger says."""

from mlflow.tracking import MlflowClient

from deployment.gate import verdict
from deployment.ledger import aliases
from deployment.ledger.champion_change import HEAD, PENDING
from deployment.ledger.history import History
from lakehouse.errors import LakehouseError
from training.registry.versions import CHAMPION, version_of, versions_of


def audit(client: MlflowClient, name: str, history: History) -> list[str]:
    """What differs, a line each; nothing where all is as the ledger says."""
    aliases.require_model(client, name)
    tags = client.get_registered_model(name).tags
    problems = []
    if (known := tags.get(HEAD, "")) != history.head:
        problems.append(
            f"the ledger ends with {history.head[:12] or 'nothing'}, the registry knows {known[:12] or 'nothing'}"
        )
    if PENDING in tags:
        problems.append("a command was cut off before it had recorded its change")
    problems += _aliases(client, name, history)
    problems += _stages(client, name, history)
    return problems + _verdicts(client, name, history)


def _aliases(client: MlflowClient, name: str, history: History) -> list[str]:
    before = [version for version in history.reign[:-1] if aliases.exists(client, name, version)]
    expected = {CHAMPION: history.champion, aliases.PREVIOUS: before[-1] if before else None}
    problems = []
    for alias, version in expected.items():
        found = version_of(client, name, alias)
        at = None if found is None else int(found.version)
        if at != version:
            problems.append(f"the alias {alias} is at {_named(at)}, and by the ledger at {_named(version)}")
    return problems


def _stages(client: MlflowClient, name: str, history: History) -> list[str]:
    found = versions_of(client, name)
    produces = sorted(int(version.version) for version in found if version.tags.get("stage") == "Production")
    expected = [] if history.champion is None else [history.champion]
    problems = [] if produces == expected else [f"the stage is Production of versions {produces}, and not {expected}"]
    stage_of = {int(version.version): version.tags.get("stage") for version in found}
    return problems + [
        f"the stage of version {number}, once the champion, is {stage} and not Archived"
        for number, stage in stage_of.items()
        if number in history.former and number != history.champion and stage not in {"Archived", "Production"}
    ]


def _verdicts(client: MlflowClient, name: str, history: History) -> list[str]:
    """Those of the versions that are still there."""
    problems = []
    for entry in history.of_this_model:
        if entry.verdict and entry.version is not None and aliases.exists(client, name, entry.version):
            try:
                verdict.find(client, name, entry.version, entry.verdict)
            except LakehouseError as err:
                problems.append(f"entry {entry.number}: {err.failed}")
    return problems


def _named(version: int | None) -> str:
    return "none" if version is None else f"version {version}"
