"""Promises of feature tables: additions pass, other changes are refused with the use cases that they break."""

import json
from pathlib import Path
from typing import Any

import pytest

from lakehouse.settings import PROJECT
from tests.unit.in_memory_reader import use_case
from training.catalogue.manifest import enriched
from training.catalogue.promises import (
    Change,
    ManifestMissing,
    Promise,
    PromiseBroken,
    breaking,
    declared,
    record,
    recorded,
    require_kept,
)
from training.features import PROMISES
from training.use_case.use_case import load_all

BEFORE = {"gold.t": Promise(("id", "at"), {"age": "int", "height": "double"})}


def now(key: tuple[str, ...] = ("id", "at"), **features: str) -> dict[str, Promise]:
    return {"gold.t": Promise(key, features or {"age": "int", "height": "double"})}


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (now(), []),
        (now(age="int", height="double", weight="int"), []),
        (now() | {"gold.u": Promise(("id",), {})}, []),
        (now(age="int"), [Change("gold.t", "height", "double", "no feature")]),
        (now(age="int", size="double"), [Change("gold.t", "height", "double", "no feature")]),
        (now(age="bigint", height="double"), [Change("gold.t", "age", "int", "bigint")]),
        (now(("other", "at")), [Change("gold.t", None, "the key (id, at)", "(other, at)")]),
        ({}, [Change("gold.t", None, "a feature table", "none")]),
    ],
)
def test_only_changed_or_removed_keys_features_and_tables_break_a_promise(
    after: dict[str, Promise], changes: list[Change]
) -> None:
    assert breaking(BEFORE, after) == changes


def test_a_broken_promise_names_the_use_cases_that_read_it() -> None:
    reads, excludes = use_case("gold.t"), use_case({"table": "gold.t", "exclude": ["height"]})
    other = excludes.model_copy(update={"name": "other"})
    with pytest.raises(PromiseBroken, match=r"gold\.t\.height: double becomes no feature, used by shelf\n.*--record"):
        require_kept(BEFORE, now(age="int"), [reads, other])
    with pytest.raises(PromiseBroken, match=r"the key .* used by shelf and other"):
        require_kept(BEFORE, now(("id",)), [reads, other])


def test_recorded_promises_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "promises.json"
    assert recorded(file) == {}
    record(BEFORE, file)
    assert recorded(file) == BEFORE


def test_a_missing_manifest_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ManifestMissing, match="dbt parse"):
        declared(tmp_path / "manifest.json")


def manifest() -> dict[str, Any]:
    columns = {name: {"data_type": "int", "meta": {}} for name in ("id", "at", "arrived_at", "age")}
    catalog = {"is_feature_table": True, "entity": "id", "timestamp_column": "at"}
    meta = {"feature_catalog": catalog, "known_at_column": "arrived_at"}
    node = {"schema": "gold", "alias": "t", "resource_type": "model", "config": {"meta": meta}, "columns": columns}
    plain = node | {"alias": "u", "config": {"meta": {}}}
    return {"nodes": {"model.t": node, "model.u": plain, "test.v": {"resource_type": "test"}}}


def test_a_manifest_declares_its_feature_tables(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    known = manifest()
    known["nodes"].pop("test.v")
    file.write_text(json.dumps(known), encoding="utf-8")
    assert declared(file) == {"gold.t": Promise(("id", "at", "arrived_at"), {"age": "int"})}


def test_a_removed_key_breaks_its_promise(tmp_path: Path) -> None:
    known = manifest()
    del known["nodes"]["model.t"]["config"]["meta"]["feature_catalog"]["entity"]
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(known), encoding="utf-8")
    before = {"gold.t": Promise(("id", "at", "arrived_at"), {"age": "int"})}
    with pytest.raises(PromiseBroken, match=r"the key \(id, at, arrived_at\) becomes \(at, arrived_at\)"):
        require_kept(before, declared(file), [])


def test_the_catalogue_lists_users_and_type_of_each_feature() -> None:
    known, tables = (
        manifest(),
        {"gold.t": Promise(("id", "at"), {"age": "int", "age_cohort": "int", "visits": "int"})},
    )
    node = known["nodes"]["model.t"]
    node["columns"] |= {"age_cohort": {}, "visits": {"meta": {"feature_catalog": {"feature_type": "identifier"}}}}
    node["config"]["meta"]["encodings"] = [{"column": "age", "as": "cohort", "bounds": [18]}]
    excludes = use_case({"table": "gold.t", "exclude": ["age"]}).model_copy(update={"name": "other"})
    written = enriched(known, tables, [use_case("gold.t"), excludes])
    assert [each["name"] for each in written["exposures"].values()] == ["shelf", "other"]
    about = {name: node["columns"][name]["meta"]["feature_catalog"] for name in tables["gold.t"].features}
    both = {"null_behavior": "error", "used_by": ["shelf", "other"]}
    assert about == {
        "age": {"feature_type": "numeric", "null_behavior": "error", "used_by": ["shelf"]},
        "age_cohort": {"feature_type": "categorical", **both},
        "visits": {"feature_type": "identifier", **both},
    }


def test_the_promises_of_the_project_cover_its_use_cases() -> None:
    promised = recorded(PROMISES)
    for case in load_all():
        for lookup in case.features:
            assert set(lookup.exclude) <= set(promised[lookup.table].features)
    assert PROMISES.is_relative_to(PROJECT)
