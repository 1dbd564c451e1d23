"""Persistence across processes: tables, views over views, seeds and history."""

from pathlib import Path

import pytest

from tests.adapter.project import Project

SEED = 'id,word\n1,"a ""quoted"" word"\n2,"two\nlines"\n3,\n4,None\n5,it\'s\n'
ROWS = [
    {"id": 1, "word": 'a "quoted" word'},
    {"id": 2, "word": "two\nlines"},
    {"id": 3, "word": None},
    {"id": 4, "word": "None"},
    {"id": 5, "word": "it's"},
]
VIEW = "{{ config(materialized='view') }}\n"
FILES = {
    "seeds/words.csv": SEED,
    "models/a_above.sql": VIEW + "select * from {{ ref('b_below') }} where id > 1",
    "models/b_below.sql": VIEW + "select * from {{ ref('words') }}",
    "models/counted.sql": "select count(*) as n from {{ ref('a_above') }}",
    "models/from_pandas.py": "import pandas\ndef model(dbt, session):\n    return dbt.ref('words').toPandas()\n",
    "models/from_spark.py": "def model(dbt, session):\n    return dbt.ref('a_above').limit(2)\n",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.below(tmp_path_factory.mktemp("last"), FILES)
    project.process("build", cwd=project.root.parent)
    return project


def test_the_warehouse_is_below_the_project_from_any_working_directory(project: Project) -> None:
    assert [str(table) for table in project.warehouse.tables()] == [
        f"gold.{name}" for name in ("counted", "from_pandas", "from_spark", "words")
    ]


def test_no_project_file_contains_an_absolute_path(project: Project) -> None:
    written = [*project.root.glob("*.yml"), *(project.root / "models").iterdir()]
    assert not [file for file in written if str(project.root) in file.read_text(encoding="utf-8")]


def test_loading_a_seed_twice_gives_the_rows_of_the_file(project: Project) -> None:
    assert project.rows("gold.words") == ROWS
    project.dbt("seed")
    assert project.rows("gold.words") == ROWS


def test_python_models_may_return_a_pandas_or_spark_frame(project: Project) -> None:
    assert project.rows("gold.from_pandas") == ROWS
    assert len(project.rows("gold.from_spark")) == 2


def test_a_later_process_reads_tables_and_views_over_views(project: Project) -> None:
    shown = project.dbt("show", "--inline", "select sum(id) as total from {{ ref('a_above') }}", "--output", "json")
    assert '"total": 14' in shown


def test_a_rebuild_keeps_the_history(project: Project) -> None:
    first = project.version("gold.counted")
    project.write({"models/counted.sql": "select count(*) + 1 as n from {{ ref('a_above') }}"})
    project.dbt("run", "--select", "counted")
    project.dbt("run", "--select", "counted", "--full-refresh")
    assert project.rows("gold.counted") == [{"n": 5}]
    assert project.rows("gold.counted", first) == [{"n": 4}]
    inline = f"select n from {{{{ ref('counted') }}}} version as of {first}"
    assert '"n": 4' in project.dbt("show", "--inline", inline, "--output", "json")


def test_dbt_docs_list_every_column(project: Project) -> None:
    project.dbt("docs", "generate")
    catalogue = (project.root / "target" / "catalog.json").read_text(encoding="utf-8")
    assert all(f'"{name}"' in catalogue for name in ("words", "a_above", "word", "string", "bigint"))


def test_a_table_becomes_a_view_and_a_view_a_table(tmp_path: Path) -> None:
    project = Project.below(tmp_path, {"models/one.sql": "select 1 as id", "models/two.sql": VIEW + "select 2 as id"})
    project.dbt("run")
    project.write({"models/one.sql": VIEW + "select 3 as id", "models/two.sql": "select 4 as id"})
    project.dbt("run")
    assert project.rows("gold.two") == [{"id": 4}]
    assert '"id": 3' in project.dbt("show", "--inline", "select id from {{ ref('one') }}", "--output", "json")
