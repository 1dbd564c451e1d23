"""Constraint violations: the model fails and the table keeps its rows."""

from pathlib import Path

import pytest

from tests.adapter.project import Project

CONTRACT = """
models:
  - name: held
    config: {contract: {enforced: true}}
    constraints: [{type: check, expression: "amount > 0", name: positive}]
    columns:
      - {name: id, data_type: bigint, constraints: [{type: not_null}]}
      - {name: amount, data_type: bigint}
"""
GOOD = "select cast(1 as bigint) as id, cast(5 as bigint) as amount"
BAD = {
    "null": "select cast(null as bigint) as id, cast(5 as bigint) as amount",
    "check": "select cast(1 as bigint) as id, cast(-5 as bigint) as amount",
}
WIDER = CONTRACT + "      - {name: note, data_type: string}\n"


def project_of(folder: Path, sql: str) -> Project:
    return Project.below(folder, {"models/held.sql": sql, "models/held.yml": CONTRACT})


@pytest.mark.parametrize("breach", list(BAD))
def test_a_failed_first_build_leaves_no_table(tmp_path: Path, breach: str) -> None:
    project = project_of(tmp_path, BAD[breach])
    assert "violated" in project.dbt("run", exits=1)
    assert list(project.warehouse.tables()) == []


@pytest.mark.parametrize("breach", list(BAD))
@pytest.mark.parametrize("wider", [False, True], ids=["same columns", "one column more"])
@pytest.mark.parametrize("kind", ["table", "incremental"])
def test_a_failed_rebuild_keeps_the_earlier_rows(tmp_path: Path, breach: str, wider: bool, kind: str) -> None:
    head = f"{{{{ config(materialized='{kind}', on_schema_change='append_new_columns') }}}}\n"
    project = project_of(tmp_path, head + GOOD)
    project.dbt("run")
    note = ", 'x' as note" if wider else ""
    project.write({"models/held.sql": head + BAD[breach] + note, "models/held.yml": WIDER if wider else CONTRACT})
    assert "violated" in project.dbt("run", exits=1)
    rows = [{name: row[name] for name in ("id", "amount")} for row in project.rows("gold.held")]
    assert rows == [{"id": 1, "amount": 5}]


def test_a_build_applies_changed_constraints(tmp_path: Path) -> None:
    project = project_of(tmp_path, GOOD)
    project.dbt("run")
    project.write({"models/held.yml": CONTRACT.replace("amount > 0", "amount > 4")})
    project.dbt("run")
    assert project.properties("gold.held")["delta.constraints.positive"] == "amount > 4"
