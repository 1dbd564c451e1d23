"""The model registry: reachable, writable, with names, aliases and tags that it accepts."""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from mlflow.tracking import MlflowClient

from deployment.commands.doctor.finding import Finding, FindingArea
from lakehouse.home import keeps_names_in_catalogs
from lakehouse.settings import Settings
from training.registry.versions import model_of, versions_of

_AREA = FindingArea("registry")
SQLITE = "sqlite:///"
OLD_STAGES = {"none", "staging", "production", "archived"}  # of MLflow 2: models:/NAME/Production
MAX_NAME, MAX_KEY, MAX_VALUE, MAX_TAGS = 255, 255, 1000, 50  # Unity Catalog
_BAD_IN_NAMES = re.compile(r"[. /\x00-\x1f\x7f]")
_BAD_IN_KEYS = re.compile(r"[.,\-=/:]|^\s|\s$")


def check_database(uri: str) -> list[Finding]:
    """A registry in an SQLite file: it can be opened and locked for a write, which is taken back."""
    path = Path(uri.removeprefix(SQLITE))
    if not path.exists():
        if not path.parent.is_dir():
            return [_AREA.error(f"The folder of the registry {path} does not exist.", f"mkdir -p {path.parent}")]
        return [_AREA.ok(f"The registry {path} does not exist yet; the first training creates it.")]
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=2)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.OperationalError as err:
        if "locked" in str(err):
            message = f"Another process writes to the registry {path}."
            return [_AREA.warning(message, "Wait for it, then: python -m deployment.run doctor")]
        return [_AREA.error(f"The registry {path} cannot be written to: {err}.", f"chmod u+w {path}")]
    except sqlite3.DatabaseError as err:
        return [_AREA.error(f"The registry {path} is no database: {err}.", f"Restore {path} from a backup.")]
    return [_AREA.ok(f"The registry {path} can be written to.")]


def list_unchecked(uri: str, target: str) -> list[Finding]:
    """A registry that only a request can check."""
    remedy = f"python -m deployment.run doctor --target {target} --online"
    return [
        _AREA.unchecked(f"Not checked without the network: models, aliases and tags of the registry {uri}.", remedy),
        _AREA.unchecked(f"A write to the registry {uri} is tried by the first training only.",
                        "python -m training.run --use-case NAME"),
    ]  # fmt: skip


def check_names(settings: Settings, use_cases: Iterable[str]) -> list[Finding]:
    """Names of the registered models by the rules of Unity Catalog, where that is the registry."""
    names = [settings.registered_model(use_case) for use_case in use_cases]
    if not keeps_names_in_catalogs(settings.registry_uri):
        return [_AREA.ok(f"Models are registered as {', '.join(names) or 'nothing'}.")]
    if not settings.catalog.strip():
        return [_AREA.error("DATABRICKS_CATALOG is empty.", "export DATABRICKS_CATALOG=NAME")]
    findings = []
    for name in names:
        # A dot in the catalog or prefix would make a fourth part.
        for part in (settings.catalog, *name.removeprefix(settings.catalog + ".").split(".")):
            if _BAD_IN_NAMES.search(part) or len(part) > MAX_NAME or not part:
                message = (
                    f"Unity Catalog refuses the model name {name}: '{part}' is empty, longer than {MAX_NAME}, or has "
                    "a space, dot, slash or control character."
                )
                findings.append(_AREA.error(message, "export DATABRICKS_CATALOG=... NAME_PREFIX=... without them"))
                break
    return findings or [_AREA.ok(f"Models are registered as {', '.join(names)}.")]


def check_aliases(name: str, aliases: Mapping[str, str]) -> list[Finding]:
    """Aliases that are named like a stage of MLflow 2."""
    shadowing = sorted(alias for alias in aliases if alias.lower() in OLD_STAGES)
    return [
        _AREA.warning(
            f"The alias {alias} of {name} (version {aliases[alias]}) is named like a stage of MLflow 2; readers of "
            f"models:/{name}/{alias} and models:/{name}@{alias} may get different versions.",
            f"python -c \"import mlflow; mlflow.MlflowClient().delete_registered_model_alias('{name}', '{alias}')\"",
        )
        for alias in shadowing
    ]


def check_tags(subject: str, tags: Mapping[str, str]) -> list[Finding]:
    """Tags by the rules of Unity Catalog, which a model meets when it is copied there."""
    findings = [
        _AREA.warning(f"Unity Catalog refuses the tag key '{key}' of {subject}.",
                      "Train again: python -m training.run --use-case NAME")
        for key in tags if _BAD_IN_KEYS.search(key) or len(key) > MAX_KEY
    ]  # fmt: skip
    findings += [
        _AREA.warning(f"The tag {key} of {subject} has {len(value):,} characters; Unity Catalog takes {MAX_VALUE:,}.",
                      "Shorten the tag, or train again: python -m training.run --use-case NAME")
        for key, value in tags.items() if len(value) > MAX_VALUE
    ]  # fmt: skip
    if len(tags) > MAX_TAGS:
        message = f"{subject} has {len(tags)} tags; Unity Catalog takes {MAX_TAGS}."
        findings.append(_AREA.warning(message, "Delete tags that nobody reads."))
    return findings


def check_models(client: MlflowClient, use_cases: Iterable[str]) -> list[Finding]:
    """Aliases and tags of the use cases' models."""
    return list(_models(client, use_cases))


def _models(client: MlflowClient, use_cases: Iterable[str]) -> Iterator[Finding]:
    registered, problems = [], 0
    for use_case in use_cases:
        model = model_of(client, use_case)
        if model is None:
            continue
        registered.append(use_case)
        findings = [*check_aliases(model.name, model.aliases), *check_tags(f"the model {model.name}", model.tags)]
        for version in versions_of(client, use_case):
            findings += check_tags(f"version {version.version} of {model.name}", version.tags)
        problems += len(findings)
        yield from findings
    if not problems:
        models = ", ".join(registered) or "none yet"
        yield _AREA.ok(f"Aliases and tags of the registered models ({models}) are valid in every registry.")
