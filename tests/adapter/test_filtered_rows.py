"""Constraints hold for the rows of a model, and not for rows that its own query removes."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.adapter.project import Project

RAW = """
select * from values (cast(1 as bigint), 10), (cast(null as bigint), 20), (cast(3 as bigint), 30) as t(k, a)
"""
CONTRACT = """
  - name: {name}
    config: {{contract: {{enforced: true}}}}
    constraints: [{{type: check, expression: "a < 25", name: small}}]
    columns:
      - {{name: k, data_type: bigint, constraints: [{{type: not_null}}]}}
      - {{name: a, data_type: int}}
"""
KEPT = "k is not null and a < 25"
QUERIES: Mapping[str, str] = {
    "where": f"select k, a from {{{{ ref('raw') }}}} where {KEPT}",
    "join": "select r.k, r.a from {{ ref('raw') }} r join {{ ref('raw') }} o on r.k = o.k where r.a < 25",
    "semi_join": "select k, a from {{ ref('raw') }} r left semi join (select 10 as a) o on r.a = o.a",
    "union": f"select * from {{{{ ref('raw') }}}} where {KEPT} union select * from {{{{ ref('raw') }}}} where a = 10",
    "distinct": f"select distinct k, a from {{{{ ref('raw') }}}} where {KEPT} order by k",
    "cast": f"select cast(k as bigint) as k, cast(a as int) as a from {{{{ ref('raw') }}}} where {KEPT}",
}
STRATEGIES: Mapping[str, str] = {
    "append": "incremental_strategy='append'",
    "merge": "incremental_strategy='merge', unique_key='k'",
    "overwrite": "incremental_strategy='insert_overwrite'",
    "overwrite_partitions": "incremental_strategy='insert_overwrite', partition_by='a'",
}


def project_of(folder: Path, models: Mapping[str, str]) -> Project:
    contracts = "models:\n" + "".join(CONTRACT.format(name=name) for name in models)
    files = {f"models/{name}.sql": sql for name, sql in models.items()}
    return Project.below(folder, {"models/raw.sql": RAW, "models/held.yml": contracts, **files})


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Tables and increments whose queries remove the rows that violate the contract, built twice."""
    increments = {
        name: f"{{{{ config(materialized='incremental', on_schema_change='fail', {strategy}) }}}}\n{QUERIES['where']}"
        for name, strategy in STRATEGIES.items()
    }
    project = project_of(tmp_path_factory.mktemp("filtered"), {**QUERIES, **increments})
    project.dbt("run")
    project.dbt("run")
    return project


@pytest.mark.parametrize("name", QUERIES)
def test_a_table_keeps_the_rows_that_its_query_selects(filtered: Project, name: str) -> None:
    assert filtered.rows(f"gold.{name}") == [{"k": 1, "a": 10}]


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_increment_keeps_the_rows_that_its_query_selects(filtered: Project, name: str) -> None:
    assert filtered.rows(f"gold.{name}") == [{"k": 1, "a": 10}] * (2 if name == "append" else 1)


@pytest.mark.parametrize("name", [*QUERIES, *STRATEGIES])
def test_a_table_declares_its_constraints_to_other_writers(filtered: Project, name: str) -> None:
    assert filtered.properties(f"gold.{name}")["delta.constraints.small"] == "a < 25"
    nullable = {field.name: field.nullable for field in filtered.table(f"gold.{name}").schema().fields}
    assert nullable == {"k": False, "a": True}


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize(
    ("rows", "violation"),
    [
        ("select cast(null as bigint) as k, 10 as a", "NOT NULL column 'k' is NULL in 1 rows"),
        ("select cast(5 as bigint) as k, 30 as a", "CHECK small (a < 25) is violated by 1 rows"),
        ("select cast(5 as bigint) as k, cast(null as int) as a", "CHECK small (a < 25) is violated by 1 rows"),
    ],
    ids=["null", "check", "check of null"],
)
def test_an_increment_that_violates_a_constraint_changes_nothing(
    filtered: Project, name: str, rows: str, violation: str
) -> None:
    before, version = filtered.rows(f"gold.{name}"), filtered.version(f"gold.{name}")
    sql = (filtered.root / f"models/{name}.sql").read_text(encoding="utf-8")
    filtered.write({f"models/{name}.sql": f"{sql.splitlines()[0]}\n{rows}"})
    assert violation in filtered.dbt("run", "--select", name, exits=1)
    filtered.write({f"models/{name}.sql": sql})
    assert (filtered.rows(f"gold.{name}"), filtered.version(f"gold.{name}")) == (before, version)
    assert list((filtered.warehouse.root / ".drafts").rglob("*.parquet")) == []


def test_a_wide_contract_of_flags_and_numbers_is_built(tmp_path: Path) -> None:
    columns = [f"flag_{n}" for n in range(60)] + [f"number_{n}" for n in range(60)]
    flags = ", ".join(f"cast(id % {n + 2} = 0 as int) as flag_{n}" for n in range(60))
    numbers = ", ".join(f"try_cast(cast(id + {n} as string) as int) as number_{n}" for n in range(60))
    declared = "".join(
        f"\n      - {{name: {column}, data_type: int, constraints: [{{type: not_null}}]}}" for column in columns
    )
    contract = f"models:\n  - name: wide\n    config: {{contract: {{enforced: true}}}}\n    columns:{declared}\n"
    head = "{{ config(materialized='incremental', on_schema_change='fail', unique_key='number_0') }}\n"
    sql = f"{head}select {flags}, {numbers} from range(1000)"
    project = Project.below(tmp_path, {"models/wide.sql": sql, "models/wide.yml": contract})
    project.dbt("run")
    project.dbt("run")
    assert len(project.rows("gold.wide")) == 1000
