"""What feature tables promise: their keys, and their features by name and type. A promise is kept or refused.

`dbt_project/feature_tables.json` records what was promised. A key that changes, or a feature that is gone, renamed or
of another type, would break whoever reads it; a feature or a table more breaks nobody.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse.errors import LakehouseError
from training.use_case.use_case import UseCase


class PromiseBroken(LakehouseError):
    """The dbt models declare feature tables that break what was promised."""

    @classmethod
    def by(cls, changes: Sequence["Change"], users: Mapping["Change", Sequence[str]]) -> "PromiseBroken":
        told = "\n  ".join(
            f"{change.told()}, used by {' and '.join(users[change]) or 'no use case'}" for change in changes
        )
        return cls(
            f"feature tables would change under who reads them:\n  {told}",
            hint="Add a feature or a table of another name instead. If nobody reads the old one any more: "
            "python -m training.features --record",
        )


class ManifestMissing(LakehouseError):
    """dbt has not said what the models declare."""

    @classmethod
    def at(cls, path: Path) -> "ManifestMissing":
        return cls(f"there is no manifest at {path}", hint="Write it: dbt parse")


@dataclass(frozen=True)
class Promise:
    """One feature table: its key with its times, and the SQL type of each feature."""

    key: tuple[str, ...]
    features: Mapping[str, str]


Promises = Mapping[str, Promise]


@dataclass(frozen=True)
class Change:
    """One way in which a table breaks its promise; `feature` is None where it is the key or the whole table."""

    table: str
    feature: str | None
    before: str
    after: str

    def told(self) -> str:
        what = f"{self.table}.{self.feature}" if self.feature else self.table
        return f"{what}: {self.before} becomes {self.after}"


def declared(manifest: Path) -> Promises:
    """What the models of a dbt manifest declare.

    Raises:
        ManifestMissing: dbt has written none.
    """
    if not manifest.is_file():
        raise ManifestMissing.at(manifest)
    nodes: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))["nodes"]
    found = {
        f"{node['schema']}.{node['alias']}": _promise(node) for node in nodes.values() if _is_feature_table(node)
    }
    return dict(sorted(found.items()))


def recorded(file: Path) -> Promises:
    """What was promised; nothing, if nothing was ever recorded."""
    tables = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {name: Promise(tuple(about["key"]), about["features"]) for name, about in tables.items()}


def record(promises: Promises, file: Path) -> None:
    """Promise what is declared."""
    tables = {name: {"key": promise.key, "features": promise.features} for name, promise in promises.items()}
    file.write_text(json.dumps(tables, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def breaking(before: Promises, after: Promises) -> list[Change]:
    """The changes that break a promise, ordered by table and feature."""
    changes = []
    for name, promise in before.items():
        now = after.get(name)
        if now is None:
            changes.append(Change(name, None, "a feature table", "none"))
        else:
            changes += _differences(name, promise, now)
    return changes


def users(table: str, feature: str | None, use_cases: Iterable[UseCase]) -> list[str]:
    """The use cases that read a feature; of the whole table where it is None."""
    return [
        use_case.name
        for use_case in use_cases
        for lookup in use_case.features
        if lookup.table == table and feature not in lookup.exclude
    ]


def require_kept(before: Promises, after: Promises, use_cases: Sequence[UseCase]) -> None:
    """Make sure that no promise is broken.

    Raises:
        PromiseBroken: one is; it says by what, and whom that would break.
    """
    if changes := breaking(before, after):
        raise PromiseBroken.by(
            changes, {change: users(change.table, change.feature, use_cases) for change in changes}
        )


def _differences(name: str, before: Promise, after: Promise) -> list[Change]:
    changes = []
    if before.key != after.key:
        changes.append(Change(name, None, f"the key ({', '.join(before.key)})", f"({', '.join(after.key)})"))
    for feature, kind in before.features.items():
        now = after.features.get(feature, "no feature")
        if now != kind:
            changes.append(Change(name, feature, kind, now))
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
