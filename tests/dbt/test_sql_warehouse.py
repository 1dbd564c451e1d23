"""The project on a stand-in of a SQL warehouse, by the real dbt-databricks, compared with the embedded build.

The stand-in is Spark with Delta behind the protocol and the rules of Databricks (tests/stand_ins/sql_warehouse). One
server and one project serve all tests of this module, which run in their order.
"""

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks import sql
from databricks.sdk import WorkspaceClient
from databricks.sql.exc import Error

from benchmarks.harness.jvm_spark import available
from deployment.commands.doctor.catalog_tables import check_catalog_tables
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import TableName, Warehouse
from simulation.run import Sample, deliver
from tests.checkout import Checkout
from tests.stand_ins.sql_warehouse.server import TOKEN, Served, serving
from tests.stand_ins.sql_warehouse.tables import CATALOG
from training.catalogue.promises import recorded

pytestmark = [pytest.mark.jvm, pytest.mark.skipif(not available(), reason="no java on the PATH")]

CUTS = [datetime(*day, tzinfo=UTC) for day in ((2021, 1, 1), (2024, 2, 10), (2024, 5, 20))]
SAMPLE = Sample(150, 9)
BUILD = ("dbt", "build", "--exclude-resource-type", "unit_test")
# The bank delivers once; its labels are built again, from unchanged rows. The clothing reviews are built with this
# delivery, without their tests: `make test-jobs` builds and tests every table of the job.
SECOND = ("--select", "tag:german_customers", "tag:clothing_reviews", "term_deposit_labels",
          "--exclude", "tag:clothing_reviews+1,resource_type:test")  # fmt: skip
LEFT_OUT = {"review_embeddings", "regional_revenue", "series_forecasts", "water_flow"}  # folders of models
KEYED = [f"gold.{name}_features" for name in ("client", "customer_profile", "customer_activity", "review")]


@dataclass(frozen=True)
class Home:
    """Two copies of the project with the same landing files: one for the warehouse, one for the embedded engine."""

    served: Served
    warehouse: Checkout
    embedded: Checkout
    landing: Path

    def deliver(self, number: int) -> None:
        for landing in (self.landing, self.embedded.root / "dbt_project/landing"):
            deliver(SAMPLE, landing / "german_customers", CUTS[number], CUTS[number + 1])

    def build(self, *arguments: str, exits: int = 0) -> str:
        landing = json.dumps({"landing": f"/Volumes/{CATALOG}/staging/landing"})
        return self.warehouse.run(*BUILD, *arguments, "--target", "databricks", "--vars", landing, exits=exits)

    def rows(self, name: TableName) -> list[list[Any]]:
        table = self.served.session.table(f"{CATALOG}.{name.schema}.{name.table}")
        return _in_order(table.toArrow().to_pylist())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("sql-warehouse")
    embedded = Checkout.below(folder / "embedded")
    landing = folder / "volumes" / CATALOG / "staging" / "landing"
    shutil.rmtree(embedded.root / "dbt_project/landing/german_customers")
    with serving(folder / "volumes") as served:
        warehouse = Checkout.at(folder / "warehouse")
        shutil.copytree(embedded.root, warehouse.root)
        shutil.move(warehouse.root / "dbt_project/landing", landing)
        _connect(warehouse.root / "profiles.yml", served)
        home = Home(served, warehouse, embedded, landing)
        home.deliver(0)
        yield home


def _connect(profiles: Path, served: Served) -> None:
    profile = yaml.safe_load(profiles.read_text(encoding="utf-8"))
    target = profile["lakehouse"]["outputs"]["databricks"]
    for oauth in ("client_id", "client_secret"):
        del target[oauth]
    # One model at a time: a build of two threads failed once, maybe because its JVM had no room for compiled code.
    target.update(served.profile(), threads=1)
    profiles.write_text(yaml.safe_dump(profile), encoding="utf-8")


def _in_order(rows: list[dict[str, Any]]) -> list[list[Any]]:
    # Sums of doubles may differ in the last digits with the order of the rows.
    values = [[_rounded(row[name]) for name in sorted(row)] for row in rows]
    return sorted(values, key=lambda row: [(value is None, str(value)) for value in row])


def _rounded(value: Any) -> Any:
    return float(f"{value:.12g}") if isinstance(value, float) and math.isfinite(value) else value


def test_two_deliveries_build_the_rows_of_the_embedded_engine(home: Home) -> None:
    home.embedded.run(*BUILD)
    home.build()
    home.deliver(1)
    home.embedded.run(*BUILD, *SECOND)
    home.build(*SECOND)
    warehouse = Warehouse(home.embedded.root / "warehouse")
    tables = list(warehouse.tables())
    models = [*(home.embedded.root / "dbt_project/models").rglob("*.yml")]
    assert len(tables) == len([model for model in models if model.parent.name not in LEFT_OUT])
    for name in tables:
        rows = home.rows(name)
        assert rows, name
        assert rows == _in_order(warehouse.open(name).to_pyarrow_table().to_pylist()), name


def test_a_python_model_runs_as_a_job_on_serverless_compute(home: Home) -> None:
    assert len(home.served.workspace.runs) == 2  # `customer_activity_features`, once for each delivery
    assert all(run.finished.is_set() and not run.error for run in home.served.workspace.runs.values())


def test_feature_tables_have_keys_tags_and_comments(home: Home) -> None:
    for name in KEYED:
        table = home.served.warehouse.catalog.table(f"{CATALOG}.{name}")
        assert table.key is not None, name
        assert table.key["timeseries"] in ("contacted_at", "as_of", "reviewed_at")
        assert not any(table.is_nullable(column) for column in table.key["columns"])
        assert all(column.comment for column in table.columns)
        assert table.details["Comment"]
        assert "feature_table.encodings" in table.properties
    with _connected(home) as cursor:
        cursor.execute(f"SELECT tag_name, tag_value FROM {CATALOG}.information_schema.table_tags "
                       "WHERE schema_name = 'gold' AND table_name = 'client_features'")  # fmt: skip
        assert ("lifecycle", "active") in [tuple(row) for row in cursor.fetchall()]


def test_doctor_finds_keys_not_null_and_change_data_feed_of_every_feature_table(home: Home) -> None:
    promises = home.warehouse.root / "dbt_project" / "feature_tables.json"
    settings = Settings.from_environment({"DATABRICKS_CATALOG": CATALOG})
    client = WorkspaceClient(host=home.served.url, token=TOKEN)
    findings = check_catalog_tables(client, settings, promises)
    declared = recorded(promises)
    models = (home.warehouse.root / "dbt_project/models/gold").rglob("*.yml")
    left_out = {f"gold.{model.stem}" for model in models if model.parent.name in LEFT_OUT} & set(declared)
    kept = f"{len(declared) - len(left_out)} of {len(declared)} feature tables of {CATALOG}"
    assert [each.message for each in findings] == [
        *(f"{CATALOG}.{name} is not built." for name in declared if name in left_out),
        f"{kept} have their key, NOT NULL and change data feed.",
    ]
    assert len(left_out) < len(declared)
    elsewhere = check_catalog_tables(client, replace(settings, name_prefix="dev_"), promises)
    assert elsewhere[0].message == f"{CATALOG}.dev_gold.client_features is not built."


def test_a_build_without_news_changes_no_incremental_feature_table(home: Home) -> None:
    home.served.warehouse.statements.clear()
    home.build("--select", "customer_profile_features")
    changes = [each for each in home.served.warehouse.statements if each.upper().startswith(("ALTER", "COMMENT"))]
    assert changes == []


@contextmanager
def _connected(home: Home) -> Iterator[Any]:
    profile = home.served.profile()
    connection = sql.connect(
        server_hostname=home.served.url,
        http_path=profile["http_path"],
        access_token=profile["token"],
        catalog=CATALOG,
        schema="gold",
        **profile["connection_parameters"],
    )
    with connection, connection.cursor() as cursor:
        yield cursor


@pytest.fixture(scope="module")
def keyed(home: Home) -> None:
    with _connected(home) as cursor:
        for statement in (
            "CREATE SCHEMA spark_catalog.refused",
            "CREATE TABLE spark_catalog.refused.keyed AS SELECT 1L AS client_id, now() AS at",
            "CREATE TABLE spark_catalog.refused.free AS SELECT 'a' AS feature",
            "ALTER TABLE spark_catalog.refused.keyed ALTER COLUMN client_id SET NOT NULL",
            "ALTER TABLE spark_catalog.refused.keyed ALTER COLUMN at SET NOT NULL",
            "ALTER TABLE spark_catalog.refused.keyed ADD CONSTRAINT pk PRIMARY KEY (client_id, at TIMESERIES)",
        ):
            cursor.execute(statement)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("PLEASE SELECT 1", "PARSE_SYNTAX_ERROR"),
        ("CREATE BUCKET b", "PARSE_SYNTAX_ERROR"),
        ("SELECT * FROM {t}_of_nobody", "TABLE_OR_VIEW_NOT_FOUND"),
        ("CREATE TABLE spark_catalog.nowhere.t AS SELECT 1 AS a", "SCHEMA_NOT_FOUND"),
        ("SELECT * FROM other_catalog.gold.client_features", "NAMESPACE"),
        ("SELECT 'a' + 1", "CAST_INVALID_INPUT"),
        ("SET spark.sql.ansi.enabled = false", "CONFIG_NOT_AVAILABLE"),
        ("CREATE TABLE spark_catalog.refused.t USING parquet AS SELECT 1 AS a", "UNSUPPORTED_FORMAT"),
        ("CREATE TABLE spark_catalog.refused.t (a INT) LOCATION '/tmp/t'", "external location"),
        ("SELECT * FROM delta.`/tmp/t`", "external location"),
        ("ALTER TABLE {t} SET TAGS ('a.b' = 'c')", "not a valid tag key"),
        ("ALTER TABLE {t} SET TAGS ('a' 'b')", "PARSE_SYNTAX_ERROR"),
        ("ALTER TABLE {t} SET TAGS ('a' = '{long}')", "1001 characters"),
        ("ALTER TABLE {t} ADD CONSTRAINT again PRIMARY KEY (client_id)", "already has the primary key"),
        ("ALTER TABLE {free} ADD CONSTRAINT k PRIMARY KEY (feature)", "is nullable"),
        ("ALTER TABLE {free} ADD CONSTRAINT k PRIMARY KEY (nothing)", "has no column"),
        ("ALTER TABLE {t} ALTER COLUMN client_id DROP NOT NULL", "is in the primary key"),
        ("INSERT INTO {t} (client_id) VALUES (NULL)", "violated"),
        ("SELECT * FROM spark_catalog.information_schema.nothing", "TABLE_OR_VIEW_NOT_FOUND"),
        ("SELECT * FROM read_files('/tmp/a.csv', format => 'csv', schema => 'a string')", "/Volumes/"),
        (
            "SELECT * FROM read_files('/Volumes/spark_catalog/staging/landing/no.csv', schema => 'a string', "
            "format => 'csv')",
            "not exist",
        ),
        (
            "SELECT * FROM read_files('/Volumes/spark_catalog/staging/landing', colour => 'red')",
            "no parameter colour",
        ),
    ],
)
@pytest.mark.usefixtures("keyed")
def test_the_warehouse_refuses_what_databricks_refuses(home: Home, statement: str, reason: str) -> None:
    names = {"t": f"{CATALOG}.refused.keyed", "free": f"{CATALOG}.refused.free"}
    with _connected(home) as cursor, pytest.raises(Error, match=reason):
        cursor.execute(statement.format(**names, long="x" * 1001))


def test_texts_and_dates_of_read_files_are_those_of_the_file(home: Home) -> None:
    (home.landing / "odd.csv").write_text('a;b\n"x;\n""y""";\n;2\n', encoding="utf-8")
    with _connected(home) as cursor:
        cursor.execute(
            "SELECT a, b, _metadata.file_name FROM read_files('/Volumes/spark_catalog/staging/landing/odd.csv', "
            "format => 'csv', header => true, sep => ';', multiLine => true, escape => '\"', mode => 'FAILFAST', "
            "schema => 'a string, b string')"
        )
        assert [tuple(row) for row in cursor.fetchall()] == [('x;\n"y"', None, "odd.csv"), (None, "2", "odd.csv")]
