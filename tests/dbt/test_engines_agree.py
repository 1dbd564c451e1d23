"""Row-by-row comparison of the gold tables from Sail and JVM Spark: two deliveries of customers, and the bank."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.jvm_spark import available
from lakehouse.tables.warehouse import TableName, Warehouse
from simulation.run import Sample, deliver
from tests.checkout import Checkout

pytestmark = [pytest.mark.jvm, pytest.mark.skipif(not available(), reason="no java on the PATH")]

CUTS = [datetime(*day, tzinfo=UTC) for day in ((2021, 1, 1), (2024, 2, 10), (2024, 5, 20))]
SAMPLE, LANDING = Sample(150, 9), Path("dbt_project/landing/german_customers")
GERMAN = ("dbt", "run", "--select", "tag:german_customers")
BANK = ("+client_features", "term_deposit_labels")


def rows(checkout: Checkout, name: TableName) -> list[dict[str, Any]]:
    result = Warehouse(checkout.root / "warehouse").open(name).to_pyarrow_table().to_pylist()
    return sorted(result, key=lambda row: [(value is None, str(value)) for value in row.values()])


def build(sail: Checkout, jvm: Checkout, command: tuple[str, ...]) -> None:
    sail.run(*command)
    jvm.run(*command, "--target", "spark")


def test_both_engines_build_the_same_rows_over_two_deliveries(jvm_spark: str, tmp_path: Path) -> None:
    sail = Checkout.below(tmp_path / "sail")
    shutil.rmtree(sail.root / LANDING)
    deliver(SAMPLE, sail.root / LANDING, CUTS[0], CUTS[1])
    jvm = Checkout(tmp_path / "jvm" / "project", sail.variables | {"SPARK_REMOTE": jvm_spark})
    shutil.copytree(sail.root, jvm.root)
    build(sail, jvm, GERMAN)
    for checkout in (sail, jvm):
        deliver(SAMPLE, checkout.root / LANDING, CUTS[1], CUTS[2])
    build(sail, jvm, (*GERMAN, *BANK))
    tables = list(Warehouse(sail.root / "warehouse").tables())
    assert tables == list(Warehouse(jvm.root / "warehouse").tables())
    for name in tables:
        assert rows(sail, name) == rows(jvm, name), name
        assert rows(sail, name), name
    models = (sail.root / "dbt_project/models/gold").rglob("*.yml")
    built = {name.table for name in tables if name.schema == "gold"}
    assert built == {model.stem for model in models} - {"client_feature_profile"}  # a summary that no model reads
