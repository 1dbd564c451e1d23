"""DDL that `dbt build` sends to Unity Catalog: a first build, a second build, and changed metadata."""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dbt_common.exceptions import CompilationError

from lakehouse.settings import PROJECT
from tests.checkout import Checkout
from tests.dbt.jinja import context_with_macros
from tests.dbt.unity_catalog import TABLE, Column, UnityCatalogTable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # dbt-databricks warns on import
    from dbt.adapters.databricks.relation import DatabricksRelation

RELATION = DatabricksRelation.create(database="main", schema="gold", identifier="client_features")
ALTER = f"ALTER TABLE {TABLE}"
MODEL: dict[str, Any] = {
    "description": "Features of a client.\n",
    "config": {
        "meta": {
            "encodings": [{"column": "job", "as": "one_hot", "categories": ["it's", "back\\slash", "ß"]}],
            "feature_catalog": {
                "is_feature_table": True,
                "entity": "client_id",
                "timestamp_column": "contacted_at",
                "owner": "data-science@example.com",
                "lifecycle": "active",
                "freshness": {"warn_after": {"count": 1, "period": "day"}},
            },
        }
    },
    "columns": {
        "client_id": {"name": "client_id", "description": "Identifier of the client."},
        "contacted_at": {"name": "contacted_at", "description": "Time of the contact."},
        "age": {"name": "age", "description": "In years."},
    },
}
FRESHNESS = '{"warn_after": {"count": 1, "period": "day"}}'
FIRST = [
    f"{ALTER} ALTER COLUMN `client_id` SET NOT NULL",
    f"{ALTER} ALTER COLUMN `contacted_at` SET NOT NULL",
    f"{ALTER} ADD CONSTRAINT `client_features_pk` PRIMARY KEY (`client_id`, `contacted_at` TIMESERIES)",
    f"{ALTER} SET TAGS ('owner' = 'data-science@example.com', 'lifecycle' = 'active', 'freshness' = '{FRESHNESS}')",
    f"COMMENT ON TABLE {TABLE} IS 'Features of a client.'",
    f"{ALTER} ALTER COLUMN `client_id` COMMENT 'Identifier of the client.'",
    f"{ALTER} ALTER COLUMN `contacted_at` COMMENT 'Time of the contact.'",
    f"{ALTER} ALTER COLUMN `age` COMMENT 'In years.'",
    f"{ALTER} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true', 'feature_table.encodings' = '"
    r'[{"column": "job", "as": "one_hot", "categories": ["it\'s", "back\\\\slash", "\\u00df"]}]'
    f"', 'feature_table.freshness' = '{FRESHNESS}')",
]


class Dbt:
    """The macros of the project in dbt's Jinja, on a simulated table of Unity Catalog."""

    def __init__(self, table: UnityCatalogTable, model: dict[str, Any], target: str = "databricks") -> None:
        self.table, self.statements = table, list[str]()
        self.relation: Any = RELATION
        self.context = context_with_macros(
            "feature_tables.sql",
            "literals.sql",
            adapter=SimpleNamespace(get_relation=lambda *_: self.relation),
            model=model,
            run_query=table.query,
            statement=self._statement,
            target=SimpleNamespace(type=target),
            this=RELATION,
        )

    def build(self) -> list[str]:
        """Run both hooks and return the statements sent to the warehouse. A hook must render to an empty text."""
        self.statements.clear()
        assert self.context["refuse_changed_feature_key"]().strip() == ""
        assert self.context["publish_feature_table"]().strip() == ""
        return list(self.statements)

    def _statement(self, name: str, caller: Callable[[], str]) -> str:
        self.statements.append(caller())
        self.table.execute(self.statements[-1])
        return ""


@pytest.fixture
def table() -> UnityCatalogTable:
    return UnityCatalogTable({name: Column() for name in MODEL["columns"]})


@pytest.fixture
def model() -> dict[str, Any]:
    return deepcopy(MODEL)


def catalog(model: dict[str, Any]) -> dict[str, Any]:
    declared: dict[str, Any] = model["config"]["meta"]["feature_catalog"]
    return declared


def test_a_first_build_creates_a_feature_table(table: UnityCatalogTable, model: dict[str, Any]) -> None:
    assert Dbt(table, model).build() == FIRST
    assert table.key == "`client_id`, `contacted_at` TIMESERIES"
    assert json.loads(table.properties["feature_table.encodings"]) == model["config"]["meta"]["encodings"]


def test_the_key_contains_the_known_at_column(table: UnityCatalogTable, model: dict[str, Any]) -> None:
    table.columns["arrived_at"] = Column()
    model["config"]["meta"]["known_at_column"] = "arrived_at"
    Dbt(table, model).build()
    assert table.key == "`client_id`, `arrived_at`, `contacted_at` TIMESERIES"
    assert not table.columns["arrived_at"].nullable
    assert table.properties["feature_table.known_at_column"] == "arrived_at"
    assert Dbt(table, model).build() == []


def test_a_second_build_sends_no_statement(table: UnityCatalogTable, model: dict[str, Any]) -> None:
    Dbt(table, model).build()
    assert Dbt(table, model).build() == []


def test_only_changed_metadata_is_sent(table: UnityCatalogTable, model: dict[str, Any]) -> None:
    Dbt(table, model).build()
    catalog(model)["lifecycle"] = "deprecated"
    model["description"] = "Another text."
    model["columns"]["age"]["description"] = "In full years."
    model["config"]["meta"]["encodings"] = []
    assert Dbt(table, model).build() == [
        f"{ALTER} SET TAGS ('lifecycle' = 'deprecated')",
        f"COMMENT ON TABLE {TABLE} IS 'Another text.'",
        f"{ALTER} ALTER COLUMN `age` COMMENT 'In full years.'",
        f"{ALTER} SET TBLPROPERTIES ('feature_table.encodings' = '[]')",
    ]
    assert Dbt(table, model).build() == []


def test_metadata_lost_by_a_replaced_table_is_restored(table: UnityCatalogTable, model: dict[str, Any]) -> None:
    Dbt(table, model).build()
    replaced = replace(table, columns={name: Column() for name in MODEL["columns"]}, key=None, comment=None)
    assert Dbt(replaced, model).build() == [FIRST[number] for number in (0, 1, 2, 4, 5, 6, 7)]


def test_removed_descriptions_are_cleared_and_tags_are_kept(table: UnityCatalogTable, model: dict[str, Any]) -> None:
    Dbt(table, model).build()
    catalog(model)["owner"] = None
    model["description"], model["columns"]["age"]["description"] = None, ""
    assert Dbt(table, model).build() == [
        f"COMMENT ON TABLE {TABLE} IS NULL",
        f"{ALTER} ALTER COLUMN `age` COMMENT ''",
    ]
    assert table.tags["owner"] == "data-science@example.com"


def test_special_characters_in_texts_and_names_are_preserved(model: dict[str, Any]) -> None:
    odd, text = "a`b'c", "It's \\ a \"text\"\n'); DROP TABLE x; -- ß"
    model["description"] = model["columns"]["age"]["description"] = catalog(model)["owner"] = text
    model["columns"][odd] = {"name": odd, "description": text}
    catalog(model)["entity"] = ["client_id", odd]
    table = UnityCatalogTable({name: Column() for name in model["columns"]})
    statements = Dbt(table, model).build()
    assert f"{ALTER} ALTER COLUMN `a``b'c` SET NOT NULL" in statements
    assert (table.comment, table.columns["age"].comment, table.columns[odd].comment) == (text, text, text)
    assert table.tags["owner"] == text
    assert table.key == "`client_id`, `a``b'c`, `contacted_at` TIMESERIES"
    assert Dbt(table, model).build() == []


@pytest.mark.parametrize(
    ("existing", "declared"),
    [
        ("`client_id`", "`client_id`, `contacted_at` TIMESERIES"),
        ("`contacted_at` TIMESERIES, `client_id`", "`client_id`, `contacted_at` TIMESERIES"),
        ("`client_id`, `contacted_at`", "`client_id`, `contacted_at` TIMESERIES"),
        ("`age`, `contacted_at` TIMESERIES", "`client_id`, `contacted_at` TIMESERIES"),
    ],
)
def test_a_changed_key_is_refused_before_the_build(
    table: UnityCatalogTable, model: dict[str, Any], existing: str, declared: str
) -> None:
    table.key = existing
    dbt = Dbt(table, model)
    for hook in ("refuse_changed_feature_key", "publish_feature_table"):
        with pytest.raises(CompilationError) as refused:
            dbt.context[hook]()
        assert f"The key of {TABLE} is ({existing}), but the model declares ({declared})" in str(refused.value)
        assert "cannot change" in str(refused.value)
    assert dbt.statements == []


def test_key_columns_are_compared_without_case(table: UnityCatalogTable, model: dict[str, Any]) -> None:
    Dbt(table, model).build()
    catalog(model)["entity"] = "Client_ID"
    assert Dbt(table, model).build() == []


def test_a_comment_with_timeseries_does_not_make_a_timeseries_key(
    table: UnityCatalogTable, model: dict[str, Any]
) -> None:
    table.key, table.columns["age"].comment = "`client_id`, `contacted_at`", "`contacted_at` TIMESERIES"
    with pytest.raises(CompilationError, match=r"is \(`client_id`, `contacted_at`\), but"):
        Dbt(table, model).build()


def test_a_missing_key_column_is_reported_with_the_existing_columns(
    table: UnityCatalogTable, model: dict[str, Any]
) -> None:
    catalog(model)["entity"] = "client"
    with pytest.raises(CompilationError, match=r"has no column 'client'.*Known: client_id, contacted_at, age\."):
        Dbt(table, model).build()


def test_no_key_is_required_before_the_table_exists(table: UnityCatalogTable, model: dict[str, Any]) -> None:
    table.key = "`age`"
    dbt = Dbt(table, model)
    dbt.relation = None
    assert dbt.context["refuse_changed_feature_key"]().strip() == ""


@pytest.mark.parametrize(("target", "is_feature_table"), [("embedded", True), ("databricks", False)])
def test_other_targets_and_other_models_are_unchanged(
    table: UnityCatalogTable, model: dict[str, Any], target: str, is_feature_table: bool
) -> None:
    catalog(model)["is_feature_table"] = is_feature_table
    assert Dbt(table, model, target).build() == []


def test_no_query_runs_while_dbt_parses(table: UnityCatalogTable, model: dict[str, Any]) -> None:
    dbt = Dbt(table, model)
    dbt.context["execute"] = False
    assert dbt.build() == []


def test_the_target_databricks_parses_offline(tmp_path: Path) -> None:
    checkout = Checkout.below(tmp_path)
    checkout.run("dbt", "parse", "--target", "databricks")
    nodes = json.loads((checkout.root / "target" / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    declared = nodes["model.lakehouse.client_features"]
    table = UnityCatalogTable({name: Column() for name in declared["columns"]})
    assert len(Dbt(table, declared).build()) == 2 + 1 + 1 + 1 + len(declared["columns"]) + 1
    assert Dbt(table, declared).build() == []


def test_dbt_databricks_publishes_a_built_table_and_refuses_another_key(tmp_path: Path) -> None:
    """Runs the real adapter on a simulated warehouse; it replaces the table in each run."""
    checkout = Checkout.below(tmp_path)
    command = [sys.executable, "-m", "tests.dbt.sql_warehouse", str(checkout.root)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, other_key = json.loads(done.stdout.splitlines()[-1])
    assert (first["success"], second["success"], other_key["success"]) == (True, True, False)
    built, *changes = first["statements"]
    assert built.startswith(f"create or replace table {TABLE}")
    published = [ddl for ddl in changes if not ddl.startswith("alter table")]  # without the NOT NULL of the contract
    assert published[0] == FIRST[2]
    assert [" ".join(ddl.split()[3:5]) for ddl in published[1:4]] == ["SET TAGS", f"{TABLE} IS", "ALTER COLUMN"]
    assert second["statements"] == first["statements"]
    assert other_key["statements"] == []
    assert "is (`client_id`), but the model declares" in other_key["message"][0]
