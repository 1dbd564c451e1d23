"""Builds on tables that maintenance has compacted and whose log it has cleaned up: rows, constraints and drafts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse.tables import vacuum
from lakehouse.tables.vacuum import compact, plan_vacuum
from lakehouse.tables.warehouse import TableName
from tests.adapter.project import Project

KINDS = {
    "appended": ("append", ""),
    "merged": ("merge", ", unique_key='id'"),
    "overwritten": ("insert_overwrite", ", partition_by='kind'"),
}
MODEL = """{{{{ config(materialized='incremental', on_schema_change='fail', incremental_strategy='{0}'{1}) }}}}
select cast(id as bigint) as id, cast(kind as string) as kind, cast({{{{ var('run') }}}} as int) as run,
  cast(id / 3.0 as decimal(12, 4)) as share, timestamp_micros(id * 7) as at
from values (10L + {{{{ var('run') }}}}, "O'Brien"), (2L, "a\\\\b"), (3L, 'ü %2F') as t (id, kind)
"""
CONTRACT = """
models:
  - name: {0}
    config: {{contract: {{enforced: true}}}}
    constraints: [{{type: check, name: positive, expression: "run < 50"}}]
    columns:
      - {{name: id, data_type: bigint, constraints: [{{type: not_null}}]}}
      - {{name: kind, data_type: string}}
      - {{name: run, data_type: int}}
      - {{name: share, data_type: "decimal(12,4)"}}
      - {{name: at, data_type: timestamp}}
"""
RUNS = 7


def build(project: Project, run: int, exits: int = 0) -> str:
    return project.dbt("run", "--vars", f"run: {run}", exits=exits)


def test_builds_go_on_as_if_tables_had_never_been_maintained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum, "MANY", 3)
    monkeypatch.setattr(vacuum, "COMMITS", 2)
    files = {f"models/{name}.sql": MODEL.format(*kind) for name, kind in KINDS.items()}
    files |= {f"models/{name}.yml": CONTRACT.format(name) for name in KINDS}
    maintained, untouched = (Project.below(tmp_path / name, files) for name in ("maintained", "untouched"))
    for run in range(RUNS):
        for project in (maintained, untouched):
            build(project, run)
        if run in {3, 5}:
            for name in KINDS:
                folder = maintained.warehouse.location(TableName("gold", name))
                compact(folder)
                plan_vacuum(folder, {}, timedelta(0), datetime.now(UTC)).execute()
    for name in KINDS:
        table = f"gold.{name}"
        assert maintained.rows(table) == untouched.rows(table)
        assert maintained.properties(table) == untouched.properties(table)
        assert maintained.table(table).schema() == untouched.table(table).schema()
        assert "0" * 20 + ".json" not in {
            file.name for file in (maintained.warehouse.location(TableName("gold", name)) / "_delta_log").iterdir()
        }
    rows = {name: maintained.rows(f"gold.{name}") for name in KINDS}
    assert "positive" in build(maintained, 50, exits=1)
    assert {name: maintained.rows(f"gold.{name}") for name in KINDS} == rows
