"""Registry, gold tables, machine and interrupted work."""

import fcntl
import json
import socket
import sqlite3
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from deployment.commands.doctor import machine, unfinished
from deployment.commands.doctor.finding import Finding, Severity
from deployment.commands.doctor.registry import check_aliases, check_database, check_names, check_tags
from deployment.commands.doctor.tables import check_tables
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import Warehouse
from training.catalogue.promises import Promise, record

UNITY = replace(Settings.from_environment({}), registry_uri="databricks-uc", catalog="risk")
PROMISE = Promise(("id", "seen_at"), {"age": "int"})


def worst(findings: list[Finding]) -> list[str]:
    return [each.message for each in findings if each.severity in {Severity.WARNING, Severity.ERROR}]


def test_names_of_models_follow_the_rules_of_unity_catalog() -> None:
    assert worst(check_names(UNITY, ["churn"])) == []
    assert "'my catalog' is empty, longer" in worst(check_names(replace(UNITY, catalog="my catalog"), ["churn"]))[0]
    assert "the model name a.b.models" in worst(check_names(replace(UNITY, catalog="a.b"), ["churn"]))[0]
    assert worst(check_names(replace(UNITY, catalog=" "), ["churn"])) == ["DATABRICKS_CATALOG is empty."]
    assert worst(check_names(Settings.from_environment({}), ["churn"])) == []


def test_an_alias_named_like_an_old_stage_is_a_warning_with_its_version() -> None:
    assert worst(check_aliases("churn", {"champion": "3"})) == []
    (message,) = worst(check_aliases("churn", {"Production": "2", "champion": "3"}))
    assert message.startswith("The alias Production of churn (version 2) is named like a stage of MLflow 2")


def test_tags_that_unity_catalog_refuses_are_named() -> None:
    tags = {"mlflow.source": "x", "stage": "Archived", "notes": "x" * 1001}
    assert worst(check_tags("version 1 of churn", tags)) == [
        "Unity Catalog refuses the tag key 'mlflow.source' of version 1 of churn.",
        "The tag notes of version 1 of churn has 1,001 characters; Unity Catalog takes 1,000.",
    ]


def test_a_registry_file_is_checked_by_a_write_that_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    assert "does not exist yet" in check_database(f"sqlite:///{path}")[0].message
    assert "The folder of the registry" in worst(check_database(f"sqlite:///{tmp_path / 'no' / 'mlflow.db'}"))[0]
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE versions (number INT)")
    assert check_database(f"sqlite:///{path}")[0].message == f"The registry {path} can be written to."
    other.execute("BEGIN IMMEDIATE")
    assert worst(check_database(f"sqlite:///{path}")) == [f"Another process writes to the registry {path}."]
    other.close()
    path.write_text("no database at all, and long enough to have the header of one")
    assert worst(check_database(f"sqlite:///{path}"))[0].startswith(f"The registry {path} is no database")


def write(warehouse: Path, columns: list[pa.Field], properties: dict[str, str]) -> None:
    rows = pa.Table.from_pylist([], schema=pa.schema(columns))
    write_deltalake(warehouse / "gold" / "people", rows, mode="overwrite", schema_mode="overwrite")
    log = sorted((warehouse / "gold" / "people" / "_delta_log").glob("*.json"))[0]
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if "metaData" in line:
            line["metaData"]["configuration"] = properties
    log.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


def test_contracts_of_gold_tables(tmp_path: Path) -> None:
    promises, properties = tmp_path / "promises.json", {
        "feature_table.primary_keys": '["id"]', "feature_table.timestamp_column": "seen_at",
    }  # fmt: skip
    record({"gold.people": PROMISE}, promises)
    warehouse = tmp_path / "warehouse"
    assert worst(check_tables(Warehouse(warehouse), promises)) == ["The feature table gold.people is not built."]
    columns = [pa.field("id", pa.int64(), False), pa.field("seen_at", pa.timestamp("us", "UTC"), True)]
    write(warehouse, columns, properties)
    assert worst(check_tables(Warehouse(warehouse), promises)) == [
        "gold.people lacks the recorded columns age.",
        "The key columns seen_at of gold.people may be NULL.",
    ]
    (log,) = (warehouse / "gold" / "people" / "_delta_log").glob("*.json")
    log.write_text(log.read_text(encoding="utf-8").replace('[\\"id\\"]', '[\\"name\\"]'), encoding="utf-8")
    key, *_ = worst(check_tables(Warehouse(warehouse), promises))
    assert key == "The key of gold.people is name, seen_at, and id, seen_at is recorded."
    log.write_text(log.read_text(encoding="utf-8").replace('\\"long\\"', '\\"string collate UTF8_BINARY\\"'))
    unreadable = check_tables(Warehouse(warehouse), promises)[0]
    assert unreadable.severity is Severity.ERROR
    assert unreadable.message == (
        "gold.people cannot be read: delta-rs refuses its log "
        "(Unsupported Delta table type: 'string collate UTF8_BINARY')."
    )
    assert unreadable.remedy == "Write it again: dbt build --full-refresh --select people"


def test_java_of_an_old_version_is_a_warning() -> None:
    assert worst(machine.check_java_version("java", 'openjdk version "17.0.9" 2023-10-17')) == []
    expected = ["java is Java 8, and Spark 4 needs Java 17 or newer."]
    assert worst(machine.check_java_version("java", 'java version "1.8.0_391"')) == expected


def test_a_machine_without_java_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert worst(machine.check_java()) == ["There is no java on the PATH; SparkTrials and JVM Spark need Java 17."]


def test_a_port_in_use_and_a_full_disk_are_errors(tmp_path: Path) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        server = f"http://127.0.0.1:{port}"
        settings = replace(UNITY, project=tmp_path, warehouse=tmp_path / "w", server=server, any_port=False)
        (message,) = worst(machine.check_port(settings))
        (elsewhere,) = machine.check_port(replace(settings, any_port=True))
    assert message == f"The model server cannot listen at 127.0.0.1:{port}: Address already in use."
    assert (elsewhere.severity, elsewhere.message) == (Severity.OK, f"{message} `serve` takes the next free port.")
    (found,) = machine.check_disk(settings, free=100 * 2**20)
    assert (found.severity, found.message) == (Severity.ERROR, f"0.1 GiB are free below {tmp_path}.")
    assert worst(machine.check_disk(settings, free=10 * 2**30)) == []
    assert worst(machine.check_folders(settings)) == []


def test_interrupted_runs_are_found_and_running_ones_are_not(tmp_path: Path) -> None:
    assert worst(unfinished.check_runs(tmp_path)) == []
    (tmp_path / "abc.run").write_text("{}")
    (tmp_path / "abc.jsonl").write_text("{}\n")
    with (tmp_path / "abc.run").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (journal,) = worst(unfinished.check_runs(tmp_path))
        assert journal.startswith("1 journals in")
    runs, _ = worst(unfinished.check_runs(tmp_path))
    assert runs == "Training was interrupted in the runs abc; the next training ends them."
    assert sorted(file.name for file in tmp_path.iterdir()) == ["abc.jsonl", "abc.run"]
