"""Promises of feature tables: recorded keys, feature names and types, which later models may not break.

`dbt_project/feature_tables.json` records the promises. A changed key, or a feature that is removed, renamed or of
another type, would break its readers. A new feature or table breaks none.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse.errors import LakehouseError
from lakehouse.whole_files import replace_file
from training.use_case.use_case import UseCase


class PromiseBroken(LakehouseError):
    """The dbt models declare feature tables that break a promise."""

    @classmethod
    def by(cls, changes: Sequence["Change"], users: Mapping["Change", Sequence[str]]) -> "PromiseBroken":
        lines = "\n  ".join(
            f"{change.summary()}, used by {' and '.join(users[change]) or 'no use case'}" for change in changes
        )
        return cls(
            f"changes of feature tables would break their readers:\n  {lines}",
            hint="Add a feature or table with another name instead. If the old one has no readers left: "
            "python -m training.features --record",
        )


class ManifestMissing(LakehouseError):
    """dbt has not written a manifest."""

    @classmethod
    def at(cls, path: Path) -> "ManifestMissing":
        return cls(f"there is no manifest at {path}", hint="Write it: dbt parse")


@dataclass(frozen=True)
class Promise:
    """Promise of one feature table: its key with its time columns, and the SQL type of each feature."""

    key: tuple[str, ...]
    features: Mapping[str, str]


Promises = Mapping[str, Promise]


@dataclass(frozen=True)
class Change:
    """One change that breaks a promise; `feature` is None for the key or the entire table."""

    table: str
    feature: str | None
    before: str
    after: str

    def summary(self) -> str:
        """The change in one line."""
        subject = f"{self.table}.{self.feature}" if self.feature else self.table
        return f"{subject}: {self.before} becomes {self.after}"


def declared(manifest: Path) -> Promises:
    """Promises that the models of a dbt manifest declare.

    Raises:
        ManifestMissing: there is no manifest.
    """
    if not manifest.is_file():
        raise ManifestMissing.at(manifest)
    nodes: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))["nodes"]
    promises = {
        f"{node['schema']}.{node['alias']}": _promise(node) for node in nodes.values() if _is_feature_table(node)
    }
    return dict(sorted(promises.items()))


def recorded(file: Path) -> Promises:
    """Recorded promises; empty if the file does not exist."""
    tables = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {name: Promise(tuple(table["key"]), table["features"]) for name, table in tables.items()}


def record(promises: Promises, file: Path) -> None:
    """Write the promises to the file."""
    tables = {name: {"key": promise.key, "features": promise.features} for name, promise in promises.items()}
    replace_file(file, json.dumps(tables, indent=1, ensure_ascii=False) + "\n")


def breaking(before: Promises, after: Promises) -> list[Change]:
    """Changes that break a promise, sorted by table and feature."""
    changes = []
    for name, promise in before.items():
        now = after.get(name)
        if now is None:
            changes.append(Change(name, None, "a feature table", "none"))
        else:
            changes += _differences(name, promise, now)
    return changes


def users(table: str, feature: str | None, use_cases: Iterable[UseCase]) -> list[str]:
    """Names of the use cases that read a feature, or the table if `feature` is None."""
    return [
        use_case.name
        for use_case in use_cases
        for lookup in use_case.features
        if lookup.table == table and feature not in lookup.exclude
    ]


def require_kept(before: Promises, after: Promises, use_cases: Sequence[UseCase]) -> None:
    """Check that no promise is broken.

    Raises:
        PromiseBroken: a promise is broken; the message names the changes and the use cases they break.
    """
    if changes := breaking(before, after):
        raise PromiseBroken.by(
            changes, {change: users(change.table, change.feature, use_cases) for change in changes}
        )


def _differences(name: str, before: Promise, after: Promise) -> list[Change]:
    changes = []
    if before.key != after.key:
        changes.append(Change(name, None, f"the key ({', '.join(before.key)})", f"({', '.join(after.key)})"))
    for feature, data_type in before.features.items():
        now = after.features.get(feature, "no feature")
        if now != data_type:
            changes.append(Change(name, feature, data_type, now))
    return changes


def _is_feature_table(node: Mapping[str, Any]) -> bool:
    return bool(node["resource_type"] == "model" and _catalog(node).get("is_feature_table"))


def _catalog(node: Mapping[str, Any]) -> Mapping[str, Any]:
    catalog: Mapping[str, Any] = (node["config"].get("meta") or {}).get("feature_catalog") or {}
    return catalog


def _promise(node: Mapping[str, Any]) -> Promise:
    catalog, meta = _catalog(node), node["config"]["meta"]
    entity = catalog.get("entity") or []
    entities = [entity] if isinstance(entity, str) else entity
    times = (catalog.get("timestamp_column"), meta.get("known_at_column"))
    key = [name for name in (*entities, *times) if name]
    features = {name: column["data_type"] for name, column in node["columns"].items() if name not in key}
    return Promise(tuple(key), features)
