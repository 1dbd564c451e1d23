"""Properties and constraints of a Delta table from the dbt node of its model."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from dbt.adapters.embedded.tables import TableSpec

from lakehouse.errors import LakehouseError

Model = Mapping[str, Any]


class KeyUndeclared(LakehouseError):
    """A feature table declares no key for lookups."""

    @classmethod
    def of(cls, model: str, missing: str) -> "KeyUndeclared":
        return cls(
            f"the feature table {model} declares no {missing} in its meta.feature_catalog, but lookups need it",
            hint=f"Declare it in {model}.yml, or remove is_feature_table.",
        )


def table_spec(model: Model) -> TableSpec:
    """Table specification of a model, seed or snapshot, from its node in the manifest.

    Raises:
        KeyUndeclared: a feature table without an entity or a timestamp.
    """
    config = model["config"]
    enforced = bool((config.get("contract") or {}).get("enforced"))
    _require_key(model)
    keys, times = feature_key(model)
    partition_by = config.get("partition_by") or []
    return TableSpec(
        not_null=frozenset([*(_not_null(model) if enforced else []), *keys, *times]),
        checks=dict(_checks(model)) if enforced else {},
        properties={**(config.get("tblproperties") or {}), **feature_properties(model)},
        partition_by=(partition_by,) if isinstance(partition_by, str) else tuple(partition_by),
        declared=_declared(model) if _feature_catalog(model) else {},
        key=(*keys, *times),
    )


def feature_key(model: Model) -> tuple[list[str], list[str]]:
    """Entity columns and timestamp columns of a feature table; both empty for any other table."""
    catalog = _feature_catalog(model)
    entity = catalog.get("entity") or []
    # `feature_catalog` accepts only the keys of dbt-features, so `known_at_column` is a key of `meta`.
    known_at = (model["config"].get("meta") or {}).get("known_at_column") if catalog else None
    times = [time for time in (catalog.get("timestamp_column"), known_at) if time]
    return [entity] if isinstance(entity, str) else list(entity), times


def feature_properties(model: Model) -> dict[str, str]:
    """Properties with key, timestamp and descriptions of a feature table; empty for any other table."""
    meta = model["config"].get("meta") or {}
    catalog = _feature_catalog(model)
    if not catalog:
        return {}
    keys, times = feature_key(model)
    features = {name: _feature(column) for name, column in model["columns"].items() if name not in {*keys, *times}}
    published = {
        "primary_keys": json.dumps(keys),
        "timestamp_column": catalog.get("timestamp_column"),
        "known_at_column": meta.get("known_at_column"),
        "description": (model.get("description") or "").strip(),
        "grain": meta.get("grain"),
        "owner": catalog.get("owner"),
        "freshness": json.dumps(catalog["freshness"]) if catalog.get("freshness") else None,
        "features": json.dumps(features),
        "encodings": json.dumps(meta.get("encodings", [])),
    }
    return {f"feature_table.{name}": value for name, value in published.items() if value is not None}


def _require_key(model: Model) -> None:
    catalog = _feature_catalog(model)
    for key in ("entity", "timestamp_column") if catalog else ():
        if not catalog.get(key):
            raise KeyUndeclared.of(model["name"], key)


def _feature_catalog(model: Model) -> Mapping[str, Any]:
    catalog: Mapping[str, Any] = (model["config"].get("meta") or {}).get("feature_catalog") or {}
    return catalog if catalog.get("is_feature_table") else {}


def _feature(column: Mapping[str, Any]) -> dict[str, Any]:
    documented = {"data_type": column.get("data_type"), "description": (column.get("description") or "").strip()}
    return documented | ((column.get("meta") or {}).get("feature_catalog") or {})


def _declared(model: Model) -> dict[str, str | None]:
    return {name: column.get("data_type") for name, column in model["columns"].items()}


def _not_null(model: Model) -> Iterator[str]:
    for column in model["columns"].values():
        if any(constraint["type"] == "not_null" for constraint in column.get("constraints") or []):
            yield column["name"]
    for constraint in model.get("constraints") or []:
        if constraint["type"] == "not_null":
            yield from constraint["columns"]


def _checks(model: Model) -> Iterator[tuple[str, str]]:
    owners = [model, *model["columns"].values()]
    for constraint in (c for owner in owners for c in owner.get("constraints") or []):
        if constraint["type"] == "check":
            condition = constraint["expression"]
            yield constraint.get("name") or f"check_{hashlib.sha256(condition.encode()).hexdigest()[:12]}", condition
