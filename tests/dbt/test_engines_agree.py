"""Sail and JVM Spark: the same gold tables, and tables of a lifecycle on JVM Spark that every reader reads."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)
from pyspark.sql.types import StringType

from benchmarks.harness.jvm_spark import available
from deployment.model_server.request_log import payload_table
from lakehouse.session import new_session
from lakehouse.tables.scan import FileScan, open_duckdb
from lakehouse.tables.warehouse import TableName, Warehouse
from simulation.run import Sample, deliver
from tests.checkout import Checkout
from training.feature_store.local import LocalFeatureStore

pytestmark = [pytest.mark.jvm, pytest.mark.skipif(not available(), reason="no java on the PATH")]

CUTS = [datetime(*day, tzinfo=UTC) for day in ((2021, 1, 1), (2024, 2, 10), (2024, 5, 20))]
SAMPLE, LANDING = Sample(150, 9), Path("dbt_project/landing/german_customers")
GERMAN = ("dbt", "run", "--select", "tag:german_customers")
LEFT_OUT = {
    "review_embedding_features",
    "region_revenue_fit_features",
    "water_flow_features",
    "water_flow_history_features",
    "water_flow_labels",
}
WITH_TEXTS = "gold.review_features"  # an online table holds numbers
BANK = ("+client_features", "term_deposit_labels")


def rows(checkout: Checkout, name: TableName) -> list[dict[str, Any]]:
    result = Warehouse(checkout.root / "warehouse").open(name).to_pyarrow_table().to_pylist()
    return sorted(result, key=lambda row: [(value is None, str(value)) for value in row.values()])


def build(sail: Checkout, jvm: Checkout, command: tuple[str, ...]) -> None:
    sail.run(*command)
    jvm.run(*command)  # SPARK_REMOTE chooses the target


@dataclass(frozen=True)
class Engines:
    """Two checkouts with the same landing files, one built by each engine; the address of JVM Spark."""

    sail: Checkout
    jvm: Checkout
    remote: str

    @property
    def warehouses(self) -> tuple[Warehouse, Warehouse]:
        return Warehouse(self.sail.root / "warehouse"), Warehouse(self.jvm.root / "warehouse")


@pytest.fixture(scope="module")
def engines(jvm_spark: str, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    """Both engines built the customers in two deliveries, the bank, the regions and the clothing reviews."""
    folder = tmp_path_factory.mktemp("engines")
    sail = Checkout.below(folder / "sail")
    shutil.rmtree(sail.root / LANDING)
    deliver(SAMPLE, sail.root / LANDING, CUTS[0], CUTS[1])
    jvm = Checkout(folder / "jvm" / "project", sail.variables | {"SPARK_REMOTE": jvm_spark})
    shutil.copytree(sail.root, jvm.root)
    build(sail, jvm, GERMAN)
    for checkout in (sail, jvm):
        deliver(SAMPLE, checkout.root / LANDING, CUTS[1], CUTS[2])
    build(sail, jvm, (*GERMAN, "tag:regional_revenue", "tag:clothing_reviews", *BANK))
    return Engines(sail, jvm, jvm_spark)


def test_both_engines_build_the_same_rows_over_two_deliveries(engines: Engines) -> None:
    sail, jvm = engines.warehouses
    tables = list(sail.tables())
    assert tables == list(jvm.tables())
    for name in tables:
        assert rows(engines.sail, name) == rows(engines.jvm, name), name
        assert rows(engines.sail, name), name
    models = (engines.sail.root / "dbt_project/models/gold").rglob("*.yml")
    built = {name.table for name in tables if name.schema == "gold"}
    unread = {"client_feature_profile"}  # a summary that no model reads
    assert built == {model.stem for model in models} - unread - LEFT_OUT


@pytest.fixture(scope="module")
def jvm(engines: Engines) -> Iterator[SparkSession]:
    session = new_session(engines.remote)
    yield session
    session.stop()


@pytest.fixture(scope="module")
def lifecycle(engines: Engines, jvm: SparkSession) -> Warehouse:
    """The warehouse after training, scoring, publication, a request, and a frame from Python functions."""
    case, challenger = ("--use-case", "term_deposit"), ("--version", "challenger")
    run = engines.jvm.run
    run("training.run", *case, "--families", "logistic_regression", "--max-evals", "1", "--parallelism", "1")
    for source, target in (("staging.stg_bank_contacts", "of_records"), ("gold.term_deposit_labels", "of_features")):
        run("training.score", *case, *challenger, "--input", source, "--output", f"scores.{target}")
    run("training.publish", "--online")
    warehouse = engines.warehouses[1]
    text = F.col("id").cast(StringType())  # as results of Python functions, it has a collation
    texts = jvm.range(2).select(
        "id", text.alias("text"), F.array(text).alias("texts"), F.struct(text).alias("nested")
    )
    LocalFeatureStore(lambda: jvm, warehouse).create("scores.of_functions", texts)
    exchange = payload_table.Exchange("1", 0.0, request=b"{}", response=b"{}", status=200)
    payload_table.append(warehouse.root / "gold" / "term_deposit_payload", [exchange.row()])
    return warehouse


def by_duckdb(log: DeltaTable) -> pa.Table:
    with open_duckdb() as connection:
        scan = FileScan.of(connection, log)
        if scan is None:  # nested types, which reach DuckDB through Arrow
            return connection.from_arrow(log.to_pyarrow_dataset()).to_arrow_table()
        return scan.batches(connection, scan.schema.names).read_all()


@cache
def sail_session() -> SparkSession:
    """A session on Sail; the open one of this process may be on JVM Spark."""
    return new_session()


READERS: Mapping[str, Callable[[Warehouse, TableName, SparkSession], pa.Table]] = {
    "Sail": lambda warehouse, name, _: LocalFeatureStore(sail_session, warehouse).rows(str(name)).toArrow(),
    "JVM Spark": lambda warehouse, name, jvm: LocalFeatureStore(lambda: jvm, warehouse).rows(str(name)).toArrow(),
    "DuckDB": lambda warehouse, name, _: by_duckdb(warehouse.open(name)),
}


def in_order(table: pa.Table) -> pa.Table:
    plain = [field.name for field in table.schema if not pa.types.is_nested(field.type)]
    return table.sort_by([(name, "ascending") for name in plain])


def test_every_reader_reads_every_table_of_a_lifecycle_on_jvm_spark(lifecycle: Warehouse, jvm: SparkSession) -> None:
    names = list(lifecycle.tables())
    assert {"gold.client_features", "staging.stg_orders", "scores.of_records", "scores.of_features",
            "scores.of_functions", "gold.term_deposit_payload"} <= set(map(str, names))  # fmt: skip
    for name in names:
        expected = in_order(lifecycle.open(name).to_pyarrow_table())
        assert expected.num_rows, name
        for reader, read in READERS.items():
            found = in_order(read(lifecycle, name, jvm).cast(expected.schema))
            assert found.equals(expected), f"{reader} reads other rows of {name}"


def test_online_tables_of_jvm_spark_have_a_row_of_each_key(lifecycle: Warehouse) -> None:
    store = LocalFeatureStore(sail_session, lifecycle)
    for table in store.tables():
        if table.name == WITH_TEXTS:
            continue
        published = store.publish(table.name)  # by the other engine: nothing is left to do
        assert published.version == table.version
        rows = lifecycle.open(TableName.parse(table.name)).to_pyarrow_table()
        assert published.rows == rows.group_by(list(table.keys)).aggregate([]).num_rows
