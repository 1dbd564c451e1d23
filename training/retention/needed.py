"""Delta versions that a registered version, its pinned holdout or a running search needs."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from scoring.digest import DIGEST
from training.frame.provenance import SOURCES, NoProvenance, recorded_sources
from training.registry.versions import versions_of
from training.tracking import tracking
from training.tracking.searches import PREFIX, RUNNING
from training.use_case.use_case import load_all

LONGEST_SEARCH = timedelta(days=7)
PAGE = 100  # results of a request
Users = tuple[str, ...]
NeededVersions = Mapping[str, Mapping[int, Users]]  # who needs a Delta version, by table and version


class RegistryUnread(LakehouseError):
    """The registry cannot tell which Delta versions are needed, so nothing may be deleted."""

    @classmethod
    def missing(cls, uri: str) -> "RegistryUnread":
        return cls(
            f"there is no registry at {uri}. Nothing was deleted, because versions in another one may need it",
            hint="Correct MLFLOW_TRACKING_URI, or train a first version: python -m training.run --use-case NAME",
        )

    @classmethod
    def unreadable(cls, uri: str, reason: Exception) -> "RegistryUnread":
        return cls(
            f"the registry at {uri} cannot be read: {reason}. Nothing was deleted",
            hint="Restore it, or correct MLFLOW_TRACKING_URI.",
        )

    @classmethod
    def no_sources(cls, user: str, reason: Exception) -> "RegistryUnread":
        return cls(
            f"the tables that {user} needs are unknown: {reason}. Nothing was deleted",
            hint="Correct the tag, or delete that version.",
        )


def needed_versions(settings: Settings, retain: timedelta) -> NeededVersions:
    """Read the registry and the running searches; a search that registers meanwhile is in one or the other.

    Args:
        settings: address of MLflow.
        retain: time for which all versions stay; it covers every search that is shorter.

    Raises:
        RegistryUnread: there is no registry, or the tables of a version are unknown.
        TrackingFailed: MLflow does not respond or refuses a request.
    """
    _require_database(settings.registry_uri)
    needed: dict[str, dict[int, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    try:
        with tracking(settings) as client:
            running = _running(client) if retain < LONGEST_SEARCH else ()
            for user, sources in (*running, *_registered(client, settings)):
                for table, version in sources.items():
                    needed[table][version][user] = None
    except SQLAlchemyError as err:
        raise RegistryUnread.unreadable(settings.registry_uri, err) from err
    return {table: {version: tuple(by) for version, by in sorted(each.items())} for table, each in needed.items()}


def _registered(client: MlflowClient, settings: Settings) -> Iterator[tuple[str, dict[str, int]]]:
    use_cases = {use_case.name for use_case in load_all()}
    for model in _pages(client.search_registered_models):
        use_case = settings.use_case_of(model.name)
        versions = versions_of(client, model.name) if use_case else []
        for version in sorted(versions, key=lambda each: int(each.version)):
            if use_case in use_cases or DIGEST in version.tags or version.tags.keys() & SOURCES:
                user = f"version {version.version} of {use_case}"
                yield user, _sources(user, version.tags)  # a version of another tool needs no table


def _running(client: MlflowClient) -> Iterator[tuple[str, dict[str, int]]]:
    condition = f"attributes.status = '{RUNNING}' and tags.`{PREFIX}tables` != ''"
    for experiment in _pages(client.search_experiments):
        for run in client.search_runs([experiment.experiment_id], condition):
            user = f"running search {run.info.run_id[:8]} of {experiment.name.rpartition('/')[2]}"
            yield user, _sources(user, {SOURCES[0]: run.data.tags[f"{PREFIX}tables"]})


def _pages(search: Callable[..., Any]) -> Iterator[Any]:
    token = None
    while True:
        page = search(max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _sources(user: str, tags: Mapping[str, str]) -> dict[str, int]:
    try:
        return recorded_sources(tags)
    except NoProvenance as err:
        raise RegistryUnread.no_sources(user, err) from err


def _require_database(uri: str) -> None:
    """Check that a registry in a file exists: MLflow would create an empty one.

    Raises:
        RegistryUnread: it does not exist.
    """
    prefix = "sqlite:///"
    if uri.startswith(prefix) and not Path(uri.removeprefix(prefix)).exists():
        raise RegistryUnread.missing(uri)
